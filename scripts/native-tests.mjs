// Builds and runs the C++ test programs of test/native (scripts/platforms/contract.mjs) by themselves.
//
//     node scripts/native-tests.mjs [--require-all] [--install] [TARGET ...]
//
// A target whose tools are missing is skipped with the reason; with --require-all that is a failure, with --install
// they are installed. Exits 1 if anything failed. Environment: WINEPREFIX (build/wine by default).
import { CONTRACT_TARGETS, holdContract, notHere } from './platforms/contract.mjs';
import { allowInstalling, ToolMissing } from './platforms/tools.mjs';

const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'));
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
for (const name of wanted) {
  if (!CONTRACT_TARGETS.includes(name))
    throw new Error(`no target ${name}: there are ${CONTRACT_TARGETS.join(', ')}`);
}
const requireAll = options.includes('--require-all');
if (options.includes('--install')) allowInstalling();

let failed = false;
for (const name of wanted.length > 0 ? wanted : CONTRACT_TARGETS) {
  const reason = notHere(name);
  if (reason !== undefined) {
    console.log(`${name}: skipped: ${reason}`);
    continue;
  }
  try {
    const { ran, lines } = await holdContract(name);
    console.log(`${name}: ${ran ? 'passed' : 'built'}\n  ${lines.join('\n').replaceAll('\n', '\n  ')}`);
  } catch (error) {
    const isSkip = error instanceof ToolMissing && !requireAll;
    console.log(`${name}: ${isSkip ? 'skipped: ' : 'failed\n'}${error.message}`);
    failed ||= !isSkip;
  }
}
process.exit(failed ? 1 : 0);
