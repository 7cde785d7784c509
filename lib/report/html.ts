/**
 * HTML that is safe by construction: what is put into a template is text, and escaped, unless it is Html itself.
 *
 *     html`<b>${name}</b>${rows.map((row) => html`<i>${row}</i>`)}`
 */

/** Markup. Only this file makes it. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | readonly Part[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as it can stand between tags and in a quoted attribute. Control characters, which HTML has none of, are shown as □. */
export function escaped(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
    .replace(/[\p{Cc}\p{Cs}]/gu, (character) => (character === '\n' || character === '\t' ? character : '□'));
}

function render(part: Part): string {
  if (part instanceof Html) return part.text;
  return typeof part === 'object' ? part.map(render).join('') : escaped(String(part));
}

/** A template of markup. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(
    strings.map((string, i) => string + (i < parts.length ? render(parts[i] ?? '') : '')).join(''),
  );
}

/** Data for programs that read the page: no browser runs it, and no text in it can end it. */
export function dataBlock(id: string, data: unknown): Html {
  const json = JSON.stringify(data).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return new Html(`<script type="application/json" id="${escaped(id)}">${json}</script>`);
}
