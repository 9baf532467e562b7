#version 330
uniform float layer; in vec2 at; out vec4 colour; void main(){ colour=vec4(at,layer,1.); }
