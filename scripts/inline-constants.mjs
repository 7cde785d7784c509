// A transformer for the TypeScript compiler: numbers with names become numbers.
//
//     head & BYTES, case Op.Read, at << STATE_SHIFT      →      head & 255, case 6, at << 3
//
// V8 does not treat an imported `const` as a constant: optimised code loads it from the other module's cell, checks that
// it is a small integer, and only then shifts by it or compares with it; `Op.Read` is two loads, and a switch over such
// cases is a chain of comparisons instead of a jump table; and `2 ** 32` is a call of pow. That was a fifth of the time of a replay
// (docs/performance.md). So the names stay in the source, and the build writes the numbers.
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

  return (context) => {
    const visit = (node) => {
      if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node;
      const folds = ts.isPropertyAccessExpression(node) || ts.isBinaryExpression(node);
      if (folds || (ts.isIdentifier(node) && isRead(node))) {
        const value = valueOf(node);
        if (value !== undefined && Number.isFinite(value)) return literal(value, context.factory);
      }
      return ts.visitEachChild(node, visit, context);
    };
    return (file) => ts.visitEachChild(file, visit, context);
  };
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
