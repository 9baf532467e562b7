#version 330
in vec2 t; uniform sampler2D picture; out vec4 o; void main(){ o=vec4(texture(picture,t).rgb,1.); }
