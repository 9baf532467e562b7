uniform vec3 key_dir; uniform vec3 key_col; uniform vec3 sky; uniform vec3 ground; uniform vec3 rim_dir; uniform vec3 rim_col;
uniform sampler2DShadow shadow_map; uniform mat4 shadow_mat; uniform float eye_z; uniform float exposure;
float hash(vec2 p){ vec3 q=fract(vec3(p.xyx)*.1031); q+=dot(q,q.yzx+33.33); return fract((q.x+q.y)*q.z); }
float noise(vec2 p){ vec2 i=floor(p),f=fract(p); f=f*f*(3.-2.*f);
  return mix(mix(hash(i),hash(i+vec2(1,0)),f.x),mix(hash(i+vec2(0,1)),hash(i+vec2(1,1)),f.x),f.y); }
vec3 lin(vec3 c){ return c*c; }
vec3 tone(vec3 c){ c*=exposure; c=c*(1.+c*.12)/(1.+c*.42); return sqrt(clamp(c,0.,1.)); }
float lit(vec3 w, vec3 n, float spread){
  vec4 s=shadow_mat*vec4(w+n*.05,1.); vec3 c=s.xyz*.5+.5; c.z-=.004; float r=spread/512., v=0.;
  v+=texture(shadow_map,c+vec3(.35*r,.94*r,0)); v+=texture(shadow_map,c+vec3(-.94*r,.35*r,0));
  v+=texture(shadow_map,c+vec3(-.35*r,-.94*r,0)); v+=texture(shadow_map,c+vec3(.94*r,-.35*r,0));
  return v*.25; }
float lit2(vec3 w, vec3 n, float spread){
  vec4 s=shadow_mat*vec4(w+n*.035,1.); vec3 c=s.xyz*.5+.5; c.z-=.0035; float r=spread/512.;
  return .5*(texture(shadow_map,c+vec3(.7*r,.4*r,0))+texture(shadow_map,c-vec3(.7*r,.4*r,0))); }
vec3 fres_amb(vec3 n, vec3 V){ return mix(ground,sky,clamp((2.*dot(n,V)*n.y-V.y)*.5+.5,0.,1.)); }
vec3 ambient(vec3 n){ return mix(ground,sky,n.y*.5+.5); }
