/*
 * The looks of all forms. Pages change them by the --brimful-... properties; nothing else reaches in here: what is
 * important in a shadow root wins over what is important in the page.
 */

export const CSS = `
:host{all:initial!important;display:block!important;--bg:var(--brimful-bg,#fff);--fg:var(--brimful-text,#1b1f24);
--muted:var(--brimful-muted,#57606a);--line:var(--brimful-border,#d5dae1);--accent:var(--brimful-accent,#3451d1);
--on-accent:var(--brimful-accent-text,#fff);--tint:color-mix(in srgb,var(--accent) 9%,var(--bg));
--r:var(--brimful-radius,12px);--shadow:var(--brimful-shadow,0 2px 6px #0f172a1a,0 12px 32px #0f172a29);
color:var(--fg)!important;
font:400 15px/1.5 var(--brimful-font,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif)!important;
color-scheme:light;z-index:var(--brimful-z,2147483000)!important;text-align:start!important;
-webkit-text-size-adjust:100%!important}
:host([dir=rtl]){direction:rtl!important}
@media(prefers-color-scheme:dark){:host([theme=auto]){--bg:var(--brimful-bg,#1d2229);--fg:var(--brimful-text,#eceff3);
--muted:var(--brimful-muted,#a9b3bf);--line:var(--brimful-border,#3b434e);--accent:var(--brimful-accent,#9db0ff);
--on-accent:var(--brimful-accent-text,#141a33);
--shadow:var(--brimful-shadow,0 2px 6px #0006,0 12px 32px #0009);color-scheme:dark}}
:host([theme=dark]){--bg:var(--brimful-bg,#1d2229);--fg:var(--brimful-text,#eceff3);--muted:var(--brimful-muted,#a9b3bf);
--line:var(--brimful-border,#3b434e);--accent:var(--brimful-accent,#9db0ff);--on-accent:var(--brimful-accent-text,#141a33);
--shadow:var(--brimful-shadow,0 2px 6px #0006,0 12px 32px #0009);color-scheme:dark}
:host([form=banner]){position:sticky!important;top:0!important}
:host([form=banner][at=bottom]){position:fixed!important;inset:auto 0 0 0!important}
:host([form=post]),:host([form=chat]),:host([form=checklist]){position:fixed!important;
inset-block-end:16px!important;inset-inline-end:16px!important;width:min(360px,calc(100vw - 32px))!important}
:host([form=tooltip]),:host([form=tour]){position:fixed!important;inset:0!important;pointer-events:none!important}
*,::before{box-sizing:border-box}
h2,p,ol{margin:0;padding:0}h2{font-size:16px;line-height:1.35;font-weight:650;text-wrap:balance;overflow-wrap:anywhere}
p+p{margin-top:8px}a{color:var(--accent)}.body{color:var(--muted);overflow-wrap:anywhere}
.box{background:var(--bg);border:1px solid var(--line);border-radius:var(--r);box-shadow:var(--shadow)}
button,.cta{font:inherit;cursor:pointer}
.cta,.plain{display:inline-block;font-weight:600;border:1px solid transparent;border-radius:calc(var(--r)*.67);
padding:8px 16px;min-height:40px;line-height:22px;text-align:center;text-decoration:none;overflow-wrap:anywhere}
.cta{background:var(--accent);color:var(--on-accent)}.cta:hover{filter:brightness(1.08)}
.plain{background:none;color:var(--fg);border-color:var(--line)}.plain:hover{background:var(--tint)}
.close{flex:none;width:36px;height:36px;border:0;border-radius:50%;background:none;color:var(--muted);padding:0;
display:grid;place-items:center}.close::before{content:"";width:12px;height:12px;background:currentColor;
clip-path:polygon(0 10%,10% 0,50% 40%,90% 0,100% 10%,60% 50%,100% 90%,90% 100%,50% 60%,10% 100%,0 90%,40% 50%)}
.close:hover{background:var(--tint);color:var(--fg)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
[tabindex="-1"]:focus{outline:none}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.row{display:flex;gap:8px;align-items:center;flex-wrap:wrap}.end{justify-content:flex-end}
.head{display:flex;gap:8px;align-items:flex-start;justify-content:space-between}
.head h2{padding-block-start:6px}
.banner{display:flex;gap:12px;align-items:center;padding:10px 16px;background:var(--tint);
border-block-end:1px solid var(--line);border-inline-start:4px solid var(--accent)}
:host([at=bottom]) .banner{border-block:1px solid var(--line);border-block-end:0;box-shadow:var(--shadow)}
.banner .text{flex:1;min-width:0}.banner h2{font-size:15px}
.card{padding:12px 12px 16px 16px;padding-inline:16px 12px}.card .body,.card .row{margin-block-start:6px;padding-inline-end:4px}
.card .row{margin-block-start:14px}
img{display:block;width:100%;max-height:200px;object-fit:cover;border-radius:calc(var(--r) - 1px) calc(var(--r) - 1px) 0 0;
background:var(--tint)}
dialog{position:fixed;inset:0;margin:auto;padding:0;color:inherit;width:min(480px,calc(100vw - 32px));
max-height:calc(100dvh - 32px);overflow:auto}
dialog::backdrop{background:#0b101bb3}
dialog .card{padding:20px 16px 24px;padding-inline:24px 16px}dialog h2{font-size:20px}dialog .row{margin-block-start:20px}
.panel{position:fixed;pointer-events:auto;width:min(320px,calc(100vw - 16px))}
.panel::before{content:"";position:absolute;inset-block-start:-7px;left:calc(var(--arrow) - 7px);width:12px;height:12px;
background:inherit;border:1px solid var(--line);border-width:1px 0 0 1px;rotate:45deg}
.panel.above::before{inset-block:auto -7px;border-width:0 1px 1px 0}.panel.free::before{display:none}
.spot{position:fixed;border-radius:10px;box-shadow:0 0 0 200vmax #0b101b99;outline:2px solid var(--accent)}
.spot.dim{outline:0}
.count{color:var(--muted);font-size:13px;margin-inline-end:auto;white-space:nowrap}
.fold .count{margin-inline:auto 0}
.chat{display:flex;gap:10px;align-items:flex-end}.chat .box{flex:1;min-width:0;border-end-start-radius:4px}
.face{flex:none;width:40px;height:40px;border-radius:50%;display:grid;place-items:center;background:var(--accent);
color:var(--on-accent);font-weight:700}.author{color:var(--muted);font-size:13px;font-weight:600;padding-block-start:8px}
.fold{flex:1;display:flex;gap:8px;align-items:center;min-height:36px;background:none;border:0;padding:0;color:inherit;
text-align:start}.fold::after{content:"";width:8px;height:8px;border:solid var(--muted);border-width:0 2px 2px 0;
rotate:225deg;margin-inline:4px 6px;flex:none}.fold[aria-expanded=true]::after{rotate:45deg}
progress{appearance:none;width:100%;height:6px;border:0;border-radius:3px;background:var(--line);overflow:hidden;
margin-block:10px 4px;display:block}progress::-webkit-progress-bar{background:var(--line)}
progress::-webkit-progress-value{background:var(--accent)}progress::-moz-progress-bar{background:var(--accent)}
ol{list-style:none;max-height:50dvh;overflow:auto}li{display:flex;gap:10px;padding:9px 4px 9px 0;padding-inline:0 4px;
border-block-start:1px solid var(--line)}li:first-child{border:0}li>div{min-width:0;flex:1}
.tick{flex:none;width:20px;height:20px;margin-block-start:2px;border:2px solid var(--muted);border-radius:50%;
display:grid;place-items:center}.done .tick{background:var(--accent);border-color:var(--accent)}
.done .tick::before{content:"";width:4px;height:8px;border:solid var(--on-accent);border-width:0 2px 2px 0;rotate:45deg;
margin-block-end:2px}.done strong{color:var(--muted);text-decoration:line-through}strong{font-weight:600}
li a{font-weight:600;display:inline-block;padding-block:4px}
@keyframes in{from{opacity:0;translate:0 8px}}.box,.banner{animation:in .18s ease-out}
@media(prefers-reduced-motion:reduce){.box,.banner{animation:none}}
@media(max-width:520px){.banner{flex-wrap:wrap;padding:10px 12px;align-items:flex-start}.banner .text{flex:1 1 70%}
.banner .cta{flex:1;order:3}.banner::after{content:none}dialog .cta,dialog .plain{flex:1 1 auto}
:host([form=post]),:host([form=chat]),:host([form=checklist]){inset-block-end:8px!important;
inset-inline-end:8px!important;width:calc(100vw - 16px)!important}}
@media(forced-colors:active){.cta,.tick,.close{border:1px solid}.close::before{background:ButtonText}}
`;
