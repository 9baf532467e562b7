#version 330
in vec3 pos; in vec3 nrm; in vec3 tan_; in vec4 strand; in float weight; in float ao;
uniform mat3 head; uniform vec3 pivot; uniform vec3 shift; uniform mat4 view;
out vec3 w; out vec3 N; out vec3 T; out vec4 s; out float occ;
void main(){ vec3 turned=head*(pos-pivot)+pivot; w=mix(pos,turned,weight)+shift; N=mix(nrm,head*nrm,weight); T=mix(tan_,head*tan_,weight);
 gl_Position=view*vec4(w,1.); s=strand; occ=ao; }
