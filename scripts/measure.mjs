// `npm run measure`: the command line's measure, from a script, by the package's public entry.
import { run } from 'lazyshadow/cli';

process.exitCode = await run(['measure', ...process.argv.slice(2)]);
