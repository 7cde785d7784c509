// What scripts measure, put into documents between marks: <!-- NAME: who writes it --> … <!-- end of NAME -->.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Puts a text between the marks of that name in a file of the repository. */
export function writeBetweenMarks(file, name, text) {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const marks = new RegExp(`(<!-- ${name}: .*-->\\n)[^]*?(<!-- end of ${name} -->)`);
  const parts = readFileSync(path, 'utf8').split(marks);
  if (parts.length !== 4) throw new Error(`${file} has no place for ${name}`);
  writeFileSync(path, `${parts[0]}${parts[1]}\n${text}\n\n${parts[2]}${parts[3]}`);
}
