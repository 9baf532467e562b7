#version 330
in vec3 pos; in float weight; in vec2 portrait_xy;
uniform mat3 head; uniform vec3 pivot; uniform vec3 shift; uniform mat4 view;
out vec2 at;
void main(){ vec3 turned=head*(pos-pivot)+pivot; vec3 w=mix(pos,turned,weight)+shift;
 gl_Position=view*vec4(w,1.); at=portrait_xy; }
