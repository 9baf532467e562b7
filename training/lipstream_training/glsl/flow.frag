#version 330
uniform float surface; in vec2 at; out vec4 colour; void main(){ colour=vec4(at,surface,1.); }
