/**
 * Directories that are there for as long as they are used, and no longer, whatever ends the use: its end, an error, or a
 * signal that ends the program.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { onExit } from 'signal-exit';

/** Makes a directory in `parent`, lets it be used, and removes it with all that is in it. */
export async function withDirectory<T>(parent: string, use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(parent, '.lazyshadow-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  const forget = onExit(remove);
  try {
    return await use(directory);
  } finally {
    forget();
    remove();
  }
}
