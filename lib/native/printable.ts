/**
 * Text of somebody else's making, fit for a terminal: recordings come from anywhere, and a function's name may hold what a
 * terminal takes for an order, or what makes a line read other than it is.
 *
 * Invariant: what is given back has no control character (C0, DEL, C1), no line or paragraph separator and no
 * character that changes the direction of text; all other text is as it was.
 */

/** Cc: ESC, BEL, the C1 controls and their like; Zl, Zp: other ends of a line; Bidi_Control: reordering. */
const UNFIT = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
const UNFIT_IN_JSON = /[\u007f-\u009f\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, '0');
}

/** The text with what is unfit written out: `\x1b`, `\u202e`. */
export function printable(text: string): string {
  return text.replace(UNFIT, (character) =>
    character < '\u0100' ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`,
  );
}

/** JSON in which the same is escaped, which JSON.stringify does for C0 alone: it means the same to every reader. */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNFIT_IN_JSON, (character) => `\\u${hex(character, 4)}`);
}
