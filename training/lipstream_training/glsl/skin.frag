in vec3 w; in vec3 N; in vec3 Q; in vec2 t; in vec3 e; in float occ; in float hairline; in vec3 local; in vec4 base; in float beardy;
uniform sampler2D masks; uniform vec4 mask_box; uniform vec3 skin; uniform vec3 lips; uniform vec3 iris; uniform vec3 hair;
uniform vec3 brow_col; uniform vec4 brow; uniform vec4 beard; uniform vec4 look; uniform float opening; uniform vec2 lip_look; uniform vec3 cap;
uniform vec3 cloth; uniform vec3 cloth2; uniform vec4 neckline; uniform vec3 eye_l; uniform vec3 eye_r; uniform vec2 blink;
out vec4 o;
float blob(vec3 c, vec3 r){ vec3 d=(vec3(abs(Q.x),Q.y,Q.z)-c)/r; return exp(-dot(d,d)); }
float bump(float a,float b,float x){ return smoothstep(a,b,x); }

float base_freckle(){ vec2 d=(vec2(abs(Q.x),Q.y)-vec2(.30,6.52))/vec2(.34,.16); return clamp(1.-dot(d,d),0.,1.); }
float brow_mask(float strand){
  float x=abs(Q.x), u=(x-.105)/.385; if(u<-.15||u>1.15||Q.z<.5) return 0.;
  float mid=6.965+brow.x+brow.y*.075*sin(clamp(u,0.,1.)*2.45)-.055*u*u;
  float half_=.043*brow.z*(1.-.62*smoothstep(.35,1.,u))*smoothstep(-.12,.16,u);
  float d=(Q.y-mid)/max(half_,.004);
  float edge=1.-smoothstep(.45,1.25,abs(d)+(strand-.5)*.55);
  return edge*smoothstep(-.14,.10,u)*(1.-smoothstep(.86,1.06,u))*brow.w*(.62+.38*strand); }

vec3 shade(vec3 c, vec3 n, vec3 V, float a, float sh, float gloss, float power, float sss){
  vec3 wrap=mix(vec3(.12),vec3(.48,.26,.20),sss); float d=dot(n,key_dir);
  vec3 k=clamp((d+wrap)/(1.+wrap),0.,1.); k*=k*.35+.65;
  vec3 s=mix(vec3(sh),vec3(sqrt(sh),sh,sh*sh*.3+sh*.7),sss*.7);
  vec3 occl=mix(vec3(a),vec3(sqrt(a),a,a*a*.4+a*.6),sss*.6);
  float rm=clamp(dot(n,rim_dir)*.8+.2,0.,1.); vec3 rim=rim_col*(rm*rm*(.25+.75*a));
  vec3 h=normalize(key_dir+V); float f=1.-max(dot(h,V),0.); f=.04+.96*f*f*f*f*f;
  float sp=pow(max(dot(n,h),0.),power)*(power+8.)*.03*(.5+2.*f)*sh;
  float fr=1.-max(dot(n,V),0.); fr*=fr; fr*=fr;
  return c*(key_col*k*s+ambient(n)*occl+rim)+gloss*(sp*key_col+.20*fres_amb(n,V)*(fr*a*a)); }

vec3 eye_colour(out float gl){
  float d=acos(clamp(normalize(e).z,-1.,1.)), ang=atan(e.y,e.x);
  float fib=noise(vec2(ang*7.,d*5.))*.6+noise(vec2(ang*15.+3.,d*9.))*.4;
  vec3 ir=lin(iris)*(.65+.85*fib); ir=mix(ir,ir*vec3(1.7,1.35,.9)+.012,smoothstep(.30,.16,d)*.55);
  ir*=.75+.55*smoothstep(.2,-.25,normalize(e).y);
  vec3 sc=vec3(.60,.555,.52); sc=mix(sc,vec3(.62,.36,.32),smoothstep(.62,1.25,d)*.55);
  vec3 c=mix(ir,sc,smoothstep(.385,.445,d));
  c*=1.-.72*smoothstep(.30,.395,d)*(1.-smoothstep(.40,.46,d));
  c=mix(vec3(.006),c,smoothstep(.135,.175,d)); gl=1.; return c; }

void main(){
 vec3 n=normalize(N), V=normalize(vec3(0,0,eye_z)-w); if(!gl_FrontFacing) n=-n;
 vec2 mt=(t-mask_box.xy)/(mask_box.zw-mask_box.xy);
 vec4 m=(mt.x>0.&&mt.y>0.&&mt.x<1.&&mt.y<1.)?texture(masks,mt):vec4(0.);
 float sh=lit(w,n,5.5); vec3 col;
#if PART==0
 {
  vec3 c=base.rgb; float gloss=base.a, power=15., sss=1.;
  float fine=noise(vec2(Q.x*40.+Q.z*12.,Q.y*15.)), wide=noise(vec2(Q.x*19.+Q.z*13.,Q.y*9.));
  c*=1.-look.y*vec3(.13,.26,.32)*smoothstep(.70,.86,fine)*base_freckle();
  float a=clamp(occ*1.25-.08,0.,1.), in_=smoothstep(.3,.8,m.g);
  float lp=smoothstep(.25,.75,m.r)*(1.-m.g*.6);
  c=mix(c,lin(lips)*(.94+.12*fine)*mix(1.,.82,smoothstep(6.20,6.25,Q.y)),lp*lip_look.x);
  gloss=mix(gloss,.30+.45*lip_look.y,lp); power=mix(power,26.,lp);
  a=mix(a,mix(a*.45,max(a,.62),smoothstep(.12,.34,occ)),lp); gloss*=mix(1.,smoothstep(.10,.4,occ),max(lp,in_));
  vec2 ml=(vec2(abs(Q.x),Q.y)-vec2(.08,6.318))/vec2(.26,.075), mc=(vec2(abs(Q.x),Q.y)-vec2(.30,6.20))/vec2(.14,.24);
  float mous=step(.5,beard.x)*step(.8,Q.z)*max(.95-.95*dot(ml,ml),(.95-.95*dot(mc,mc))*step(beard.x,1.5));
  float bk=smoothstep(.12,.80,clamp(max(beardy,mous),0.,1.)*(.62+.35*fine+.30*wide))*(1.-lp)*(1.-in_)*beard.z;
  c=mix(c,lin(hair)*(.55+.6*fine),bk); gloss*=1.-.7*bk;
  float br=clamp(brow_mask(fine),0.,1.); c=mix(c,lin(brow_col),br*.93); gloss*=1.-.8*br;
  float hc=smoothstep(-.035,.05,hairline+(fine*.65+wide*.35-.5)*.07)*(1.-smoothstep(.2,.6,m.a))*cap.x;
  c=mix(c,lin(hair)*(.5+.45*fine+.3*wide),hc); gloss*=1.-.6*hc; sss=1.-.8*max(hc,bk);
  vec3 wet=vec3(.27,.065,.065)*mix(1.,.08,smoothstep(1.36,1.15,Q.z));
  c=mix(c,wet,in_*(1.-lp*.7)); gloss=mix(gloss,.4*opening,in_); power=mix(power,36.,in_);
  a=mix(a,opening*smoothstep(1.0,1.36,Q.z),in_); sh=mix(sh,a,in_*.8);
  col=shade(c,n,V,a,sh,gloss,power,sss);
 }
#elif PART==1
 {
  float gl; vec3 c=eye_colour(gl); bool left=local.x>0.; vec3 ec=left?eye_l:eye_r; float bl=left?blink.x:blink.y;
  vec3 p=(local-ec); float up=smoothstep(.085-.1*bl,.02-.1*bl,p.y); float side=1.-smoothstep(.07,.15,abs(p.x));
  float a=(.30+.70*up)*(.45+.55*side)*smoothstep(-.125,-.06,p.y);
  vec3 nn=normalize(n+vec3(0,0,.25));
  float s=mix(sh,1.,.4)*(.4+.6*up);
  col=shade(c,nn,V,a,s,0.,60.,.25);
  vec3 h=normalize(key_dir+V); vec3 hn=normalize(p); col+=key_col*(smoothstep(.978,.990,dot(hn,normalize(h*vec3(.72,.72,1.))))*.75)*mix(up,1.,.35);
  col+=.05*ambient(reflect(-V,hn))*a; float wetl=smoothstep(-.058,-.078,p.y)*side; col+=wetl*.05*key_col;
 }
#elif PART==2
 {
  float depth=smoothstep(.92,1.30,Q.z); float gum=smoothstep(.055,.085,abs(Q.y-6.225+.02));
  vec3 c=mix(vec3(.74,.69,.60),vec3(.80,.76,.69),depth); c=mix(c,vec3(.52,.20,.19),gum*.9);
  float gap=abs(fract(Q.x*9.5)-.5); c*=1.-.16*smoothstep(.40,.5,gap)*depth;
  float a=depth*depth*(.25+.75*opening); col=shade(c,n,V,a*.85,mix(sh,1.,.35)*a*.8,.45,46.,.25);
 }
#elif PART==3
 {
  float depth=smoothstep(.88,1.27,Q.z); vec3 c=vec3(.40,.125,.125)*(.9+.2*noise(Q.xz*22.));
  float a=depth*(.2+.6*opening); col=shade(c,n,V,a,mix(sh,1.,.3)*a,.4,24.,.7);
 }
#elif PART==4
 {
  vec3 c=lin(brow_col)*.35+.003;
  col=shade(c,n,V,.5,.6,0.,10.,0.); o=vec4(tone(col),look.z*mix(.8,.3,e.y)*smoothstep(.85,.1,e.x)); return;
 }
#else
 {
  float az=atan(abs(Q.x),Q.z-.12); float fr=smoothstep(1.35,.0,az);
  float lineY=mix(neckline.y,neckline.x,fr*fr)-neckline.w*smoothstep(.28,0.,abs(Q.x))*fr;
  float h=lineY-Q.y, cover=clamp(h/max(fwidth(h),1e-4)+.5,0.,1.); if(cover<=0.) discard;
  vec3 c=lin(cloth); float band=smoothstep(.075,.068,h); if(neckline.z>.5) c=mix(c,mix(c,lin(cloth2),.25)*.86,band);
  c*=1.-.25*smoothstep(.012,.0,abs(h-.075))*step(.5,neckline.z); c*=.94+.10*noise(Q.xy*9.)+.03*noise(Q.xz*40.);
  col=shade(c,n,V,occ,sh,.06,8.,.0); o=vec4(tone(col),cover); return;
 }
#endif
 o=vec4(tone(col),1.); }
