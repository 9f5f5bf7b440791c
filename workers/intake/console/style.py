"""The one style of the console: for phones and desks, light and dark, nothing loaded."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--ground:#f4f5f7;--line:#d5d9de;
--focus:#2f6fde;--bad:#b3261e;--badground:#fdecea;--warn:#7a5200;--warnground:#fff4dc;--good:#1c6b3c;
--goodground:#e5f4ea;--accent:#2457a6;--accentground:#e8effa}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a2a9b1;--paper:#1b1e22;--ground:#121417;
--line:#383d43;--focus:#8ab4f8;--bad:#ffb4ab;--badground:#47211e;--warn:#f4d089;--warnground:#3b2f14;
--good:#9bd8b0;--goodground:#193524;--accent:#a8c7fa;--accentground:#1e2c42}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;
overflow-wrap:anywhere}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:.2rem}
.skip{position:absolute;left:-99rem}.skip:focus{left:.5rem;top:.5rem;background:var(--paper);padding:.5rem}
header{background:var(--paper);border-bottom:1px solid var(--line)}
.bar{max-width:76rem;margin:0 auto;padding:.4rem 1rem;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;
align-items:center}
.bar strong{margin-right:.25rem}
.bar nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;flex:1}
.bar a{display:inline-flex;align-items:center;min-height:2.75rem;text-decoration:none;color:var(--ink)}
.bar a[aria-current]{font-weight:600;box-shadow:inset 0 -3px var(--accent)}
main{max-width:76rem;margin:0 auto;padding:1.25rem 1rem 4rem}
main.narrow{max-width:30rem;padding-top:12vh}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:0 0 .75rem}
.soft,time{color:var(--soft)}
.small{font-size:.875rem}
.mono{font-family:ui-monospace,monospace;font-size:.875rem}
.tag{display:inline-block;border:1px solid var(--line);border-radius:1rem;padding:0 .6rem;font-size:.8125rem;
color:var(--soft);white-space:nowrap}
.tag.bad{color:var(--bad);background:var(--badground);border-color:transparent}
.tag.warn{color:var(--warn);background:var(--warnground);border-color:transparent}
.tag.good{color:var(--good);background:var(--goodground);border-color:transparent}
.tag.here{color:var(--accent);background:var(--accentground);border-color:transparent;font-weight:600}
.note{border-left:4px solid var(--warn);background:var(--warnground);color:var(--ink);padding:.6rem .9rem;
margin:.75rem 0;border-radius:.25rem}
.note.bad{border-color:var(--bad);background:var(--badground)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:.6rem;padding:.9rem 1rem;
margin:.75rem 0}
.numbers{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:1rem 0;padding:0}
.numbers div{min-width:6rem}
.numbers dt{color:var(--soft);font-size:.875rem}
.numbers dd{margin:0;font-size:1.35rem;font-variant-numeric:tabular-nums;line-height:1.3}
.numbers dd small{display:block;font-size:.8125rem;color:var(--soft)}
table{border-collapse:collapse;width:100%;background:var(--paper);border:1px solid var(--line);
border-radius:.6rem}
caption{text-align:left;color:var(--soft);padding:.25rem 0}
th,td{text-align:left;padding:.5rem .75rem;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0;font-weight:600;font-size:.875rem;color:var(--soft)}
tbody th{font-weight:600}
tbody th .small{font-weight:400}
table{margin-bottom:.75rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
form{margin:0}
label{display:block;font-weight:600;margin-bottom:.25rem}
input,select{font:inherit;min-height:2.75rem;padding:.4rem .7rem;border:1px solid var(--soft);
border-radius:.4rem;background:var(--paper);color:var(--ink);width:100%}
button,.button{font:inherit;min-height:2.75rem;padding:.45rem 1.1rem;border:1px solid var(--accent);
border-radius:.4rem;background:var(--accent);color:var(--paper);cursor:pointer;display:inline-flex;
align-items:center;text-decoration:none}
button.quiet,.button.quiet{background:transparent;color:var(--accent)}
.bar button{border:0;background:transparent;color:var(--ink);padding:0}
.row{display:flex;flex-wrap:wrap;gap:.75rem;align-items:end}
.row>div{flex:1 1 12rem}.row>div.fit{flex:0 0 auto}
.stack>*{margin-bottom:.9rem}
ol.flow{list-style:none;margin:0;padding:0}
ol.flow>li{position:relative;padding:0 0 1.1rem}
ol.flow>li:last-child{padding-bottom:0}
ol.flow>li:not(:last-child)::after{content:"";position:absolute;left:1.25rem;bottom:.1rem;height:.9rem;
border-left:2px solid var(--soft)}
.step{background:var(--paper);border:1px solid var(--line);border-left:4px solid var(--line);
border-radius:.5rem;padding:.5rem .75rem}
.step.has{border-left-color:var(--accent)}
.step.wrong{border-left-color:var(--bad)}
.step p{margin:0}
.top{display:flex;flex-wrap:wrap;gap:.15rem .6rem;align-items:baseline}
.top .kind{font-weight:600}
.top .what{flex:1 1 8rem}
.lanes{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,15rem),1fr));gap:.75rem;
margin:.6rem 0 0;padding:0;list-style:none}
.lanes>li{border:1px dashed var(--soft);border-radius:.5rem;padding:.5rem .6rem;min-width:0;
background:var(--ground)}
.lanes h3{font-size:.875rem;font-weight:600;margin:0 0 .5rem;color:var(--soft)}
.why{list-style:none;margin:.4rem 0 0;padding:0;font-size:.9375rem}
.why li{padding:.25rem 0;border-top:1px solid var(--line)}
.card>.why{margin:0}.card>.why li:first-child{border-top:0}
@media(max-width:44rem){
.bar{justify-content:space-between}
.bar nav{order:3;flex:1 1 100%;justify-content:space-between}
table.cards td.mono::before{font-family:system-ui,sans-serif;font-size:1rem}
table.cards,table.cards tbody,table.cards tr,table.cards td,table.cards th{display:block;width:100%}
table.cards{border:0;background:transparent}
table.cards thead{position:absolute;left:-99rem}
table.cards tr{background:var(--paper);border:1px solid var(--line);border-radius:.6rem;margin-bottom:.75rem;
padding:.5rem .75rem}
table.cards td,table.cards th{border:0;padding:.15rem 0;text-align:left;white-space:normal}
table.cards td[data-name]{display:flex;justify-content:space-between;gap:1rem}
table.cards td[data-name]::before{content:attr(data-name);color:var(--soft);flex:0 0 auto}
table.cards td.n{text-align:right}
ol.flow ol.flow .step{padding:.45rem .6rem}
.lanes>li{padding:.4rem}}
"""
