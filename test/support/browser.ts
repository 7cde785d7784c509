/**
 * A headless Chromium, which opens pages as a person's browser would and keeps what it has to complain about. CI installs
 * it; on a machine without it tests that need it are skipped, in CI on Linux they fail.
 */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll } from 'vitest';
import { linux } from './proc.js';
import { emulated } from './sizes.js';
import { unless } from './skips.js';

const EXECUTABLE = '/usr/bin/chromium';

/** Whether there is a browser, or has to be: what CI installs, it installs on Linux. */
const hasBrowser =
  linux &&
  !emulated &&
  (existsSync(EXECUTABLE) || (process.env['CI'] !== undefined && process.arch === 'x64'));

/** Options of a test that needs it. */
export const unlessNoBrowser = unless(hasBrowser, `there is no ${EXECUTABLE}`);

/** How a page is looked at. */
export interface View {
  readonly width: number;
  readonly colorScheme: 'light' | 'dark';
}

/** A page that is open, and every error and warning that it gave, every request that it made beyond itself. */
export interface OpenPage {
  readonly page: Page;
  readonly complaints: readonly string[];
  readonly requests: readonly string[];
}

let browser: Promise<Browser> | undefined;
afterAll(async () => (await browser)?.close());

/** The one browser of a test file: starting it takes longer than most of what is looked at. */
function theBrowser(): Promise<Browser> {
  browser ??= chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  return browser;
}

/** Opens a file as somebody who was never here before, lets it be looked at, and closes it. */
export async function withPage<T>(
  file: string,
  { width, colorScheme }: View,
  use: (open: OpenPage) => Promise<T>,
): Promise<T> {
  const visitor = await (await theBrowser()).newContext({ viewport: { width, height: 900 }, colorScheme });
  try {
    const page = await visitor.newPage();
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => requests.push(request.url()));
    const url = `file://${file}`;
    await page.goto(url);
    return await use({
      page,
      complaints,
      get requests() {
        return requests.filter((request) => request !== url);
      },
    });
  } finally {
    await visitor.close();
  }
}
