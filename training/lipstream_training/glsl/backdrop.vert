#version 330
in vec2 at; out vec2 t; void main(){ t=at*.5+.5; gl_Position=vec4(at,.99999,1.); }
