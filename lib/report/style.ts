/**
 * The look of a page: readable from 320 pixels on, light and dark, with whatever has the keyboard's focus marked.
 */

import { FONT, MONOSPACE, themeCss } from './theme.js';

export const PAGE_CSS = `${themeCss(':root')}
*{box-sizing:border-box}
html{background:var(--background);color:var(--text);font:16px/1.5 ${FONT};-webkit-text-size-adjust:100%}
body{max-width:62rem;margin:0 auto;padding:1rem 1rem 4rem}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.5rem 0 .5rem;border-bottom:1px solid var(--grid);padding-bottom:.25rem}
h4,h5{font-size:.95rem;margin:.75rem 0 .25rem}
h5{color:var(--muted);font-weight:500}
a{color:var(--lazy)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;margin:.75rem 0;padding:0}
code,.stack,.where{font-family:${MONOSPACE};font-size:.9em}
.note,.where,.skip{position:absolute;left:-100vw}
.skip:focus{left:1rem;top:0;background:var(--background);padding:.5rem}
:focus-visible{outline:3px solid var(--lazy);outline-offset:2px}
.scroll{overflow-x:auto;border:1px solid var(--grid);border-radius:.5rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.4rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
tr:last-child>*{border-bottom:0}
th:first-child{text-align:left;position:sticky;left:0;background:var(--background)}
thead th{color:var(--muted);font-weight:500}
.swatch{display:inline-block;width:.7em;height:.7em;border-radius:.15em;margin-right:.45em}
.charts{margin-top:1.25rem;display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr));gap:1.5rem 2rem}
figure{margin:0;min-width:0}
figure svg{width:100%;height:auto;display:block;max-width:30rem}
.error{border-left:4px solid var(--alert);padding:.25rem .75rem;background:var(--panel);overflow-wrap:anywhere}
.race{border:1px solid var(--grid);border-radius:.5rem;margin:.5rem 0;padding:0 .9rem}
.race[open]{padding-bottom:.75rem}
.race summary{cursor:pointer;padding:.6rem 0;font-weight:600;overflow-wrap:anywhere}
.race .where{font-weight:400}
.number{display:inline-block;min-width:1.6em;color:var(--alert)}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:0 1.5rem}
.stack{margin:0;padding-left:1.6rem}
.stack li{overflow-wrap:anywhere;margin:.15rem 0}
.stack b{font-weight:600}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,9.5rem),1fr));gap:.75rem;margin:1rem 0;padding:0}
.facts div{background:var(--panel);border-radius:.5rem;padding:.6rem .9rem}
.facts dt{color:var(--muted);font-size:.88rem}
.facts dd{margin:0;font-size:1.25rem;font-weight:600}
@media print{body{max-width:none}.race{break-inside:avoid}}
`;
