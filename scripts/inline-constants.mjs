// A transformer for the TypeScript compiler: numbers with names become numbers, and imported functions and tables are
// bound to constants of the module.
//
//     head & BYTES, case Op.Read, at << STATE_SHIFT      →      head & 255, case 6, at << 3
//     homeCell(first, slot)                              →      const homeCell_1 = homeCell; … homeCell_1(first, slot)
//
// V8 does not treat an imported `const` as a constant: optimised code loads it from the other module's cell, checks that
// it is a small integer, and only then shifts by it or compares with it; `Op.Read` is two loads, and a switch over such
// cases is a chain of comparisons instead of a jump table; and `2 ** 32` is a call of pow. That was a fifth of the time of a replay
// (docs/performance.md). So the names stay in the source, and the build writes the numbers. Of an imported function it
// makes sure at each call that it is still the same one, where a constant of the module's own is built into the code.
import ts from 'typescript';

/**
 * @param {ts.Program} program
 * @returns {ts.TransformerFactory<ts.SourceFile>} to run before the others
 */
export function inlineConstants(program) {
  const checker = program.getTypeChecker();
  const known = new Map();

  /** The number that an expression is, whenever it is evaluated; undefined if that cannot be told. */
  const valueOf = (node) => {
    if (ts.isNumericLiteral(node)) return Number(node.text);
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node)) return valueOf(node.expression);
    if (ts.isIdentifier(node)) return valueOfSymbol(checker.getSymbolAtLocation(node));
    if (ts.isPropertyAccessExpression(node)) return valueOfMember(node);
    if (ts.isPrefixUnaryExpression(node)) {
      const operand = valueOf(node.operand);
      if (operand === undefined) return undefined;
      if (node.operator === ts.SyntaxKind.MinusToken) return -operand;
      return node.operator === ts.SyntaxKind.TildeToken ? ~operand : undefined;
    }
    if (!ts.isBinaryExpression(node)) return undefined;
    const operate = OPERATORS.get(node.operatorToken.kind);
    const left = operate && valueOf(node.left);
    const right = left === undefined ? undefined : valueOf(node.right);
    return right === undefined ? undefined : operate(left, right);
  };

  /** The number that a `const` is, wherever it is declared. */
  const valueOfSymbol = (symbol) => {
    if (symbol === undefined) return undefined;
    const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    if (known.has(own)) return known.get(own);
    known.set(own, undefined); // while it is being looked at: one that refers to itself is none
    const declaration = own.valueDeclaration;
    if (
      declaration !== undefined &&
      ts.isVariableDeclaration(declaration) &&
      declaration.initializer !== undefined &&
      (ts.getCombinedNodeFlags(declaration) & ts.NodeFlags.BlockScoped) === ts.NodeFlags.Const &&
      ts.isSourceFile(declaration.parent.parent.parent)
    ) {
      known.set(own, valueOf(declaration.initializer));
    }
    return known.get(own);
  };

  /** The number that a property is whose type says which: those of objects `as const`. */
  const valueOfMember = (node) => {
    const declaration = checker.getSymbolAtLocation(node)?.valueDeclaration;
    if (declaration === undefined || !ts.isPropertyAssignment(declaration)) return undefined;
    const constant =
      ts.isAsExpression(declaration.parent.parent) && ts.isConstTypeReference(declaration.parent.parent.type);
    return constant ? valueOf(declaration.initializer) : undefined;
  };

  /** Whether an identifier is an imported function, or an imported table of numbers. */
  const isBindable = (node) => {
    const symbol = checker.getSymbolAtLocation(node);
    if (symbol === undefined || (symbol.flags & ts.SymbolFlags.Alias) === 0) return false;
    const declaration = checker.getAliasedSymbol(symbol).valueDeclaration;
    if (declaration === undefined || declaration.getSourceFile().isDeclarationFile) return false;
    if (ts.isFunctionDeclaration(declaration)) return true;
    if (!ts.isVariableDeclaration(declaration)) return false;
    return TABLES.has(checker.getTypeAtLocation(declaration).symbol?.name);
  };

  return (context) => {
    /** What this file has bound: for each name its constant, and the identifier that it is bound to. */
    const bound = new Map();
    const bind = (node) => {
      const known = bound.get(node.text);
      if (known !== undefined) return known.constant;
      const constant = context.factory.createUniqueName(node.text);
      bound.set(node.text, { constant, imported: node });
      return constant;
    };
    const visit = (node) => {
      if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node;
      const folds = ts.isPropertyAccessExpression(node) || ts.isBinaryExpression(node);
      if (folds || (ts.isIdentifier(node) && isRead(node))) {
        const value = valueOf(node);
        if (value !== undefined && Number.isFinite(value)) return literal(value, context.factory);
      }
      if (ts.isIdentifier(node) && isRead(node) && isBindable(node)) return bind(node);
      return ts.visitEachChild(node, visit, context);
    };
    return (file) => {
      const visited = ts.visitEachChild(file, visit, context);
      return bound.size === 0 ? visited : withConstants(visited, [...bound.values()], context.factory);
    };
  };
}

/** The file with its bound constants behind the imports. */
function withConstants(file, bound, factory) {
  const declarations = bound.map(({ constant, imported }) =>
    factory.createVariableDeclaration(constant, undefined, undefined, imported),
  );
  const list = factory.createVariableDeclarationList(declarations, ts.NodeFlags.Const);
  const behind = file.statements.findLastIndex((statement) => ts.isImportDeclaration(statement)) + 1;
  return factory.updateSourceFile(file, [
    ...file.statements.slice(0, behind),
    factory.createVariableStatement(undefined, list),
    ...file.statements.slice(behind),
  ]);
}

/** Whether an identifier stands for the value of a variable, and not for a name. */
function isRead(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (
    ts.isShorthandPropertyAssignment(parent) ||
    ts.isBindingElement(parent) ||
    ts.isExportAssignment(parent)
  )
    return false;
  return !('name' in parent && parent.name === node);
}

function literal(value, factory) {
  const number = factory.createNumericLiteral(Math.abs(value));
  if (value >= 0) return number;
  return factory.createParenthesizedExpression(
    factory.createPrefixUnaryExpression(ts.SyntaxKind.MinusToken, number),
  );
}

/** Types of tables. Of any other constant an import that goes round in a circle might have nothing yet. */
const TABLES = new Set(['Int32Array', 'Uint8Array', 'Float64Array']);

const OPERATORS = new Map([
  [ts.SyntaxKind.PlusToken, (a, b) => a + b],
  [ts.SyntaxKind.MinusToken, (a, b) => a - b],
  [ts.SyntaxKind.AsteriskToken, (a, b) => a * b],
  [ts.SyntaxKind.SlashToken, (a, b) => a / b],
  [ts.SyntaxKind.AsteriskAsteriskToken, (a, b) => a ** b],
  [ts.SyntaxKind.BarToken, (a, b) => a | b],
  [ts.SyntaxKind.AmpersandToken, (a, b) => a & b],
  [ts.SyntaxKind.LessThanLessThanToken, (a, b) => a << b],
]);
