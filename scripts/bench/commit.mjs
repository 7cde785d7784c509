// Another commit of this repository, built beside it, so that both can be measured in one run.
import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './recordings.mjs';

/** Builds `commit` below `scratch`; returns { dist, remove }. The packages are this checkout's. */
export function buildCommit(commit, scratch) {
  const tree = join(scratch, 'commit');
  const run = (command, args, cwd) =>
    execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  run('git', ['worktree', 'add', '--detach', tree, commit], root);
  const remove = () => run('git', ['worktree', 'remove', '--force', tree], root);
  try {
    symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
    run('npx', ['--no-install', 'node-gyp', 'configure', 'build', '--silent'], tree);
    run(process.execPath, ['scripts/build-lib.mjs'], tree);
  } catch (error) {
    remove();
    throw error;
  }
  return { dist: join(tree, 'dist'), remove };
}
