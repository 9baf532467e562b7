#version 330
in vec3 pos; in vec3 nrm; in vec3 q; in vec2 uv; in vec3 eye; in float weight; in float ao; in float scalp; in vec4 paint; in float fur;
uniform mat3 head; uniform vec3 pivot; uniform vec3 shift; uniform mat4 view;
out vec4 base; out float beardy; out vec3 w; out vec3 N; out vec3 Q; out vec2 t; out vec3 e; out float occ; out float hairline; out vec3 local;
void main(){ vec3 turned=head*(pos-pivot)+pivot; w=mix(pos,turned,weight)+shift; N=mix(nrm,head*nrm,weight);
 gl_Position=view*vec4(w,1.); Q=q; t=uv; e=eye; occ=ao; hairline=scalp; local=pos; base=paint; beardy=fur; }
