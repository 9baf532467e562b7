in vec3 w; in vec3 N; in vec3 T; in vec4 s; in float occ; uniform vec3 strand_col; uniform vec4 hair_look; out vec4 o;
void main(){
 vec3 n=normalize(N), t=normalize(T), V=normalize(vec3(0,0,eye_z)-w); if(dot(n,V)<0.) n=normalize(n-1.6*dot(n,V)*V);
 bool hat=hair_look.y>.5; float fine=noise(vec2(s.x*3.5+s.z*91.,s.y*3.)), fine2=fract(fine*3.7+s.x*.5);fine2=abs(fine2-.5)*2.;
 float v=(fine-.5)*.34+(fine2-.5)*.16; if(hat) v=.25-.16*smoothstep(.30,.24,s.w)*step(0.,s.w)-.25*smoothstep(.02,.0,abs(s.w-.27)); vec3 c=lin(strand_col)*(.82+v+.36*(s.z-.5))*mix(.72,1.12,smoothstep(0.,.8,s.y));
 float sh=lit2(w,n,3.5), a=clamp(occ*1.15,0.,1.)*(1.-(s.w>.999?.30*s.x*s.x:0.));
 float wrap=clamp((dot(n,key_dir)+.3)/1.3,0.,1.); float td=dot(t,key_dir), kd=sqrt(max(0.,1.-td*td));
 vec3 col=c*(key_col*mix(wrap,kd*wrap,.5)*(.12+.88*sh)+ambient(n)*a+rim_col*pow(clamp(dot(n,rim_dir)*.75+.25,0.,1.),2.)*1.3);
 vec3 h=normalize(key_dir+V); vec3 t1=normalize(t+n*(.10+.16*(s.z-.5)+.10*(fine-.5))), t2=normalize(t-n*(.14+.1*(fine2-.5)));
 float a1=dot(t1,h), a2=dot(t2,h); float s1=pow(max(0.,sqrt(max(0.,1.-a1*a1))),90.), s2=pow(max(0.,sqrt(max(0.,1.-a2*a2))),26.);
 float face=smoothstep(-.1,.5,dot(n,key_dir))*sh;
 col+=hair_look.x*key_col*face*a*(.16*s1*(lin(strand_col)*.6+.10)+s2*lin(strand_col)*.55);
 o=vec4(tone(col),1.); }
