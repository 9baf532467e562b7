#version 330
in vec2 t; uniform sampler2D backdrop; out vec4 o; void main(){ o=vec4(texture(backdrop,t).rgb,1.); }
