// Measures, and draws what the README shows: docs/measure.svg. Run it after a change of a chart, or of what is measured.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { measure } from 'lazyshadow';
import { picture } from '../dist/esm/report/picture.js';

const path = process.argv[2] ?? fileURLToPath(new URL('../docs/measure.svg', import.meta.url));
writeFileSync(path, picture(await measure({ map: true })));
console.log(`drew ${path}`);
