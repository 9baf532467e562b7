"""GLSL of the head renderer. Lighting is linear; the last step writes sRGB."""

COMMON = """
uniform vec3 key_dir; uniform vec3 key_col; uniform vec3 sky; uniform vec3 ground; uniform vec3 rim_dir; uniform vec3 rim_col;
uniform sampler2DShadow shadow_map; uniform mat4 shadow_mat; uniform float eye_z; uniform float exposure;
float hash(vec2 p){ vec3 q=fract(vec3(p.xyx)*.1031); q+=dot(q,q.yzx+33.33); return fract((q.x+q.y)*q.z); }
float noise(vec2 p){ vec2 i=floor(p),f=fract(p); f=f*f*(3.-2.*f);
  return mix(mix(hash(i),hash(i+vec2(1,0)),f.x),mix(hash(i+vec2(0,1)),hash(i+vec2(1,1)),f.x),f.y); }
vec3 lin(vec3 c){ return c*c*(.7*c+.3); }
vec3 tone(vec3 c){ c*=exposure; c=c*(1.+c*.12)/(1.+c*.42); return pow(clamp(c,0.,1.),vec3(1./2.2)); }
float lit(vec3 w, vec3 n, float spread){
  vec4 s=shadow_mat*vec4(w+n*.035,1.); vec3 c=s.xyz*.5+.5; c.z-=.0035; float r=spread/512., v=0.;
  v+=texture(shadow_map,c+vec3(.35*r,.94*r,0)); v+=texture(shadow_map,c+vec3(-.94*r,.35*r,0));
  v+=texture(shadow_map,c+vec3(-.35*r,-.94*r,0)); v+=texture(shadow_map,c+vec3(.94*r,-.35*r,0));
  v+=texture(shadow_map,c+vec3(.3*r,-.25*r,0))+texture(shadow_map,c+vec3(-.3*r,.25*r,0));
  return v/6.; }
float lit2(vec3 w, vec3 n, float spread){
  vec4 s=shadow_mat*vec4(w+n*.035,1.); vec3 c=s.xyz*.5+.5; c.z-=.0035; float r=spread/512.;
  return .5*(texture(shadow_map,c+vec3(.7*r,.4*r,0))+texture(shadow_map,c-vec3(.7*r,.4*r,0))); }
vec3 ambient(vec3 n){ return mix(ground,sky,n.y*.5+.5); }
"""

SKIN_VERTEX = """
#version 330
in vec3 pos; in vec3 nrm; in vec3 q; in vec2 uv; in float gid; in vec3 eye; in float weight; in float ao; in float scalp;
uniform mat3 head; uniform vec3 pivot; uniform vec3 shift; uniform mat4 view;
out vec3 w; out vec3 N; out vec3 Q; out vec2 t; out vec3 e; out float occ; out float hairline; out vec3 local; flat out int g;
void main(){ vec3 turned=head*(pos-pivot)+pivot; w=mix(pos,turned,weight)+shift; N=mix(nrm,head*nrm,weight);
 gl_Position=view*vec4(w,1.); Q=q; t=uv; e=eye; occ=ao; hairline=scalp; local=pos; g=int(gid+.5); }
"""

SKIN_FRAGMENT = (
    COMMON
    + """
in vec3 w; in vec3 N; in vec3 Q; in vec2 t; in vec3 e; in float occ; in float hairline; in vec3 local; flat in int g;
uniform sampler2D masks; uniform vec4 mask_box; uniform vec3 skin; uniform vec3 lips; uniform vec3 iris; uniform vec3 hair;
uniform vec3 brow_col; uniform vec4 brow; uniform vec4 beard; uniform vec4 look; uniform vec4 mouth; uniform vec3 cap;
uniform vec3 cloth; uniform vec3 cloth2; uniform vec4 neckline; uniform vec3 eye_l; uniform vec3 eye_r; uniform vec2 blink;
out vec4 o;
float blob(vec3 c, vec3 r){ vec3 d=(vec3(abs(Q.x),Q.y,Q.z)-c)/r; return exp(-dot(d,d)); }
float bump(float a,float b,float x){ return smoothstep(a,b,x); }

float brow_mask(){
  float x=abs(Q.x), u=(x-.105)/.385; if(u<-.15||u>1.15||Q.z<.5) return 0.;
  float mid=6.965+brow.x+brow.y*.075*sin(clamp(u,0.,1.)*2.45)-.055*u*u;
  float half_=.043*brow.z*(1.-.62*smoothstep(.35,1.,u))*smoothstep(-.12,.16,u);
  float d=(Q.y-mid)/max(half_,.004);
  float strand=noise(vec2(u*26.-d*2.2*(1.-u),d*1.4+3.*sign(Q.x)));
  float edge=1.-smoothstep(.45,1.25,abs(d)+(strand-.5)*.55);
  return edge*smoothstep(-.14,.10,u)*(1.-smoothstep(.86,1.06,u))*brow.w*(.62+.38*strand); }

float beard_mask(vec3 m){
  float jaw=bump(6.42,6.10,Q.y+.35*smoothstep(.35,.75,abs(Q.x))*-1.)*bump(5.52,5.70,Q.y)*bump(.35,.62,Q.z);
  float front=bump(5.9,6.05,Q.y);
  float up=blob(vec3(.12,6.325,1.42),vec3(.20,.052,.25))*1.5;
  float chin=blob(vec3(0.,5.88,1.33),vec3(.21,.19,.35))*1.5;
  float side=bump(.52,.70,abs(Q.x))*bump(6.75,6.35,Q.y)*bump(6.0,6.2,Q.y)*bump(.48,.62,Q.z)*(1.-bump(.8,.95,Q.z));
  float cheekline=bump(-.04,.10,(6.20+.42*smoothstep(.25,.72,abs(Q.x))*smoothstep(.25,.72,abs(Q.x)))-Q.y);
  float full=max(cheekline*bump(5.50,5.68,Q.y)*bump(.45,.62,Q.z),max(up,chin));
  float style=beard.x; float v=0.;
  if(style<.5) v=0.; else if(style<1.5) v=full; else if(style<2.5) v=max(up,chin); else v=up*1.1;
  v=clamp(v,0.,1.); float keep=(1.-m.r)*(1.-m.g);
  return v*keep; }

vec3 shade(vec3 c, vec3 n, vec3 V, float a, float sh, float gloss, float power, float sss){
  vec3 wrap=mix(vec3(.12),vec3(.48,.26,.20),sss); float d=dot(n,key_dir);
  vec3 k=clamp((d+wrap)/(1.+wrap),0.,1.); k*=k*.35+.65;
  vec3 s=mix(vec3(sh),pow(vec3(sh),vec3(.62,1.05,1.2)),sss);
  vec3 occl=mix(vec3(a),pow(vec3(a),vec3(.68,1.,1.12)),sss);
  vec3 rim=rim_col*pow(clamp(dot(n,rim_dir)*.8+.2,0.,1.),2.)*(.25+.75*a);
  vec3 h=normalize(key_dir+V); float f=.04+.96*pow(1.-max(dot(h,V),0.),5.);
  float sp=(pow(max(dot(n,h),0.),power)*(power+8.)*.03*(.5+2.*f))*sh;
  float fres=pow(1.-max(dot(n,V),0.),4.);
  vec3 col=c*(key_col*k*s+ambient(n)*occl+rim);
  col+=gloss*(sp*key_col+.20*fres*ambient(reflect(-V,n))*a*a);
  return col; }

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
  vec3 c=lin(skin); float dark=1.-smoothstep(.08,.5,dot(c,vec3(.33)));
  float flush=.55*blob(vec3(.44,6.46,1.12),vec3(.24,.20,.4))+.5*blob(vec3(0.,6.47,1.52),vec3(.15,.13,.16))
    +.3*blob(vec3(0.,5.86,1.34),vec3(.17,.12,.2))+.45*m.a+.22*blob(vec3(.29,6.80,1.2),vec3(.24,.15,.3));
  c*=mix(vec3(1.),vec3(1.03,.72,.68),clamp(flush*look.x,0.,1.)*mix(.62,.3,dark));
  float under=blob(vec3(.27,6.655,1.24),vec3(.15,.055,.2)); c*=1.-under*vec3(.10,.16,.13)*(.6+.8*look.w);
  c*=1.-m.b*vec3(.10,.20,.18)*.8;
  float tex=noise(Q.xy*17.)*.5+noise(Q.yz*vec2(23.,19.)+7.)*.5; c*=.965+.07*tex;
  if(look.y>0.){ float fr=noise(Q.xy*34.+11.); float area=blob(vec3(.30,6.52,1.3),vec3(.34,.16,.4));
    c*=1.-vec3(.13,.26,.32)*smoothstep(.66,.86,fr)*area*look.y; }
  float stub=bump(6.40,6.16,Q.y-.22*smoothstep(.3,.8,abs(Q.x)))*bump(5.45,5.7,Q.y)*bump(.40,.62,Q.z)*(1.-m.r)*(1.-m.g);
  c=mix(c,c*vec3(.66,.68,.74)+lin(hair)*.05,stub*beard.y*.75);
  float gloss=.26+.18*blob(vec3(0.,6.55,1.5),vec3(.14,.25,.3))+.15*blob(vec3(0.,7.2,1.3),vec3(.4,.2,.4));
  float power=15.; float sss=1.;
  float a=clamp(occ*1.25-.08,0.,1.);
  float lp=smoothstep(.25,.75,m.r)*(1.-m.g*.6);
  float line=(noise(vec2(Q.x*55.,Q.y*4.))-.5)*.14;
  c=mix(c,lin(lips)*(1.+line)*mix(1.,.82,smoothstep(6.20,6.25,Q.y)),lp*mouth.y); gloss=mix(gloss,.30+.45*mouth.z,lp); power=mix(power,26.,lp);
  a=mix(a,mix(a*.45,max(a,.62),smoothstep(.12,.34,occ)),lp); gloss*=mix(1.,smoothstep(.10,.4,occ),max(lp,smoothstep(.2,.6,m.g)));
  float bd=beard_mask(m.rgb); float bs=noise(vec2(Q.x*38.,Q.y*16.))*.5+noise(vec2(Q.x*70.+Q.z*30.,Q.y*30.))*.5;
  float bk=smoothstep(.10,.85,bd*(.65+.6*bs)); c=mix(c,lin(hair)*(.55+.6*bs),bk*beard.z); gloss*=1.-.7*bk;
  float br=brow_mask(); c=mix(c,lin(brow_col),clamp(br,0.,1.)*.93); gloss*=1.-.8*br;
  float lid=m.b*smoothstep(.5,.9,m.b);
  float hz=hairline+(noise(vec2(Q.x*26.+Q.z*9.,Q.y*7.))-.5)*.075*cap.y;
  float hc=smoothstep(-.035*cap.z,.05*cap.z,hz)*(1.-smoothstep(.2,.6,m.a))*cap.x;
  float st=noise(vec2(Q.x*44.,Q.z*20.))*.5+noise(vec2(Q.x*19.+Q.z*14.,Q.y*15.))*.5;
  c=mix(c,lin(hair)*(.5+.75*st),hc); gloss*=1.-.6*hc; sss=mix(1.,.2,max(hc,bk));
  float in_=smoothstep(.3,.8,m.g); vec3 wet=vec3(.34,.085,.085)*mix(1.,.08,smoothstep(1.36,1.15,Q.z));
  c=mix(c,wet,in_*(1.-lp*.7)); gloss=mix(gloss,.5,in_); power=mix(power,36.,in_);
  a=mix(a,mouth.x*smoothstep(1.0,1.36,Q.z),in_); sh=mix(sh,a,in_*.8);
  col=shade(c,n,V,a,sh,gloss*mix(1.,.8,dark),power,sss);
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
  float a=depth*depth*(.25+.75*mouth.x); col=shade(c,n,V,a*.85,mix(sh,1.,.35)*a*.8,.45,46.,.25);
 }
#elif PART==3
 {
  float depth=smoothstep(.80,1.26,Q.z); vec3 c=vec3(.50,.17,.17)*(.9+.2*noise(Q.xz*22.));
  float a=depth*(.2+.6*mouth.x); col=shade(c,n,V,a,mix(sh,1.,.3)*a,.4,24.,.7);
 }
#elif PART==4
 {
  vec3 c=lin(brow_col)*.35+.003;
  col=shade(c,n,V,.5,.6,0.,10.,0.); o=vec4(tone(col),look.z*.8*smoothstep(.85,.1,e.x)); return;
 }
#else
 {
  float az=atan(abs(Q.x),Q.z-.12); float fr=smoothstep(1.35,.0,az);
  float lineY=mix(neckline.y,neckline.x,fr*fr)-neckline.w*smoothstep(.28,0.,abs(Q.x))*fr;
  float h=lineY-Q.y; if(h<0.) discard;
  vec3 c=lin(cloth); float band=smoothstep(.075,.068,h); if(neckline.z>.5) c=mix(c,mix(c,lin(cloth2),.25)*.86,band);
  c*=1.-.25*smoothstep(.012,.0,abs(h-.075))*step(.5,neckline.z); c*=.94+.10*noise(Q.xy*9.)+.03*noise(Q.xz*40.);
  col=shade(c,n,V,occ,sh,.06,8.,.0);
 }
#endif
 o=vec4(tone(col),1.); }
"""
)

HAIR_VERTEX = """
#version 330
in vec3 pos; in vec3 nrm; in vec3 tan_; in vec4 strand; in float weight; in float ao;
uniform mat3 head; uniform vec3 pivot; uniform vec3 shift; uniform mat4 view;
out vec3 w; out vec3 N; out vec3 T; out vec4 s; out float occ;
void main(){ vec3 turned=head*(pos-pivot)+pivot; w=mix(pos,turned,weight)+shift; N=mix(nrm,head*nrm,weight); T=mix(tan_,head*tan_,weight);
 gl_Position=view*vec4(w,1.); s=strand; occ=ao; }
"""

HAIR_FRAGMENT = (
    COMMON
    + """
in vec3 w; in vec3 N; in vec3 T; in vec4 s; in float occ; uniform vec3 hair; uniform vec4 hair_look; out vec4 o;
void main(){
 vec3 n=normalize(N), t=normalize(T), V=normalize(vec3(0,0,eye_z)-w); if(dot(n,V)<0.) n=normalize(n-1.6*dot(n,V)*V);
 bool hat=hair_look.y>.5; if(s.w<(hat?.0:.012)) discard; float fine=noise(vec2(s.x*3.5+s.z*91.,s.y*3.)), fine2=fract(fine*3.7+s.x*.5);fine2=abs(fine2-.5)*2.;
 float v=(fine-.5)*.34+(fine2-.5)*.16; if(hat) v=.25-.16*smoothstep(.30,.24,s.w)*step(0.,s.w)-.25*smoothstep(.02,.0,abs(s.w-.27)); vec3 c=lin(hair)*(.82+v+.36*(s.z-.5))*mix(.72,1.12,smoothstep(0.,.8,s.y));
 float sh=lit2(w,n,3.5), a=clamp(occ*1.15,0.,1.)*(1.-.30*s.x*s.x);
 float wrap=clamp((dot(n,key_dir)+.3)/1.3,0.,1.); float td=dot(t,key_dir), kd=sqrt(max(0.,1.-td*td));
 vec3 col=c*(key_col*mix(wrap,kd*wrap,.5)*(.12+.88*sh)+ambient(n)*a+rim_col*pow(clamp(dot(n,rim_dir)*.75+.25,0.,1.),2.)*1.3);
 vec3 h=normalize(key_dir+V); vec3 t1=normalize(t+n*(.10+.16*(s.z-.5)+.10*(fine-.5))), t2=normalize(t-n*(.14+.1*(fine2-.5)));
 float a1=dot(t1,h), a2=dot(t2,h); float s1=pow(max(0.,sqrt(max(0.,1.-a1*a1))),90.), s2=pow(max(0.,sqrt(max(0.,1.-a2*a2))),26.);
 float face=smoothstep(-.1,.5,dot(n,key_dir))*sh;
 col+=hair_look.x*key_col*face*a*(.16*s1*(lin(hair)*.6+.10)+s2*lin(hair)*.55);
 float edge=hat?1.:(1.-smoothstep(.55,1.,abs(s.x)+(fine-.5)*.5)*.9)*(1.-smoothstep(.72,1.,s.y+(fine2-.5)*.2)*.85);
 o=vec4(tone(col),edge); }
"""
)

DEPTH_FRAGMENT = "#version 330\nvoid main(){}\n"

BACKDROP_VERTEX = "#version 330\nin vec2 at; out vec2 t; void main(){ t=at*.5+.5; gl_Position=vec4(at,.99999,1.); }\n"
BACKDROP_FRAGMENT = "#version 330\nin vec2 t; uniform sampler2D picture; out vec4 o; void main(){ o=vec4(texture(picture,t).rgb,1.); }\n"


def part_fragment(part: int) -> str:
    """The skin shader cut to one part (0 skin, 1 eye, 2 teeth, 3 tongue, 4 lash, 5 cloth).

    Software rasterisers run both sides of every branch, so each part is its own program.
    """
    return f"#version 330\n#define PART {part}\n" + SKIN_FRAGMENT


def hair_fragment() -> str:
    """The hair shader."""
    return "#version 330\n" + HAIR_FRAGMENT
