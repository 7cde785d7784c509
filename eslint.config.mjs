import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['build/**', 'prebuilds/**', 'dist/**', 'docs/api/**', 'coverage/**', 'test/data/**'] },
  ...tseslint.configs.recommended,
  {
    rules: {
      // `const { left, out, ...rest }` is how a field is left out.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
    },
  },
  {
    files: ['lib/**/*.ts', 'test/**/*.ts'],
    extends: [...tseslint.configs.strict],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      // race0 and handlers that ignore an error on purpose are empty functions.
      '@typescript-eslint/no-empty-function': 'off',
      // A class of static methods is how the addon's face reads best in places.
      '@typescript-eslint/no-extraneous-class': 'off',
      eqeqeq: 'error',
    },
  },
);
