// Reads what vitest's JSON reporter writes. scripts/platforms.mjs writes its counts in the same form.

/** A test file's path from the root; Wine names the folder another way than Linux. */
export function shortName(file) {
  return file.slice(file.lastIndexOf('/test/') + 1);
}

/** What failed, a text each: the test's file and name, then why. A file that does not load is one, under its own name. */
export function failuresOf({ testResults }) {
  return testResults.flatMap(({ name: file, status, message, assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (failed.length === 0 && status === 'failed') return [`${shortName(file)}: ${message}`];
    return failed.map((test) => `${shortName(file)}: ${test.fullName}\n${test.failureMessages.join('\n')}`);
  });
}
