#version 330
uniform float known; in vec2 at; out vec4 colour; void main(){ colour=vec4(at,known,1.); }
