package main

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/strutil"
)

type numberLiteral struct {
	Kind string `json:"kind"`
	span
	Value      string `json:"value"`
	IsDuration bool   `json:"is_duration"`
}

type stringLiteral struct {
	Kind string `json:"kind"`
	span
	Value any `json:"value"`
}

type labelMatcher struct {
	span
	Name     any    `json:"name"`
	Operator string `json:"operator"`
	Value    any    `json:"value"`
}

// duration is a literal with its seconds, or an expression (experimental) with its canonical text.
type duration struct {
	span
	Seconds     string `json:"seconds,omitempty"`
	Expression  string `json:"expression,omitempty"`
	UsesContext bool   `json:"uses_context,omitempty"`
}

type atModifier struct {
	span
	Milliseconds *int64 `json:"milliseconds,omitempty"`
	Anchor       string `json:"anchor,omitempty"`
}

type modifiers struct {
	Offset   *duration   `json:"offset,omitempty"`
	At       *atModifier `json:"at,omitempty"`
	Boundary string      `json:"boundary,omitempty"`
}

type vectorSelector struct {
	Kind string `json:"kind"`
	span
	Name     string         `json:"name,omitempty"`
	Matchers []labelMatcher `json:"matchers"`
	// The braces with what is in them; empty, after the name, when there are none.
	Braces span `json:"braces"`
	modifiers
}

type matrixSelector struct {
	Kind string `json:"kind"`
	span
	Selector int      `json:"selector"`
	Range    duration `json:"range"`
	modifiers
}

type subquery struct {
	Kind string `json:"kind"`
	span
	Expression int       `json:"expression"`
	Range      duration  `json:"range"`
	Step       *duration `json:"step,omitempty"`
	modifiers
}

type call struct {
	Kind string `json:"kind"`
	span
	Function  string `json:"function"`
	Arguments []int  `json:"arguments"`
	Returns   string `json:"returns"`
}

type grouping struct {
	span
	Without bool  `json:"without"`
	Labels  []any `json:"labels"`
}

type aggregation struct {
	Kind string `json:"kind"`
	span
	Operator   string    `json:"operator"`
	Grouping   *grouping `json:"grouping,omitempty"`
	Parameter  *int      `json:"parameter,omitempty"`
	Expression int       `json:"expression"`
}

type matching struct {
	span
	Keyword   string         `json:"keyword,omitempty"`
	Labels    []any          `json:"labels"`
	Group     string         `json:"group,omitempty"`
	Include   []any          `json:"include"`
	FillLeft  *numberLiteral `json:"fill_left,omitempty"`
	FillRight *numberLiteral `json:"fill_right,omitempty"`
}

type binary struct {
	Kind string `json:"kind"`
	span
	Operator         string    `json:"operator"`
	OperatorPosition span      `json:"operator_position"`
	Left             int       `json:"left"`
	Right            int       `json:"right"`
	ReturnBool       bool      `json:"return_bool"`
	Matching         *matching `json:"matching,omitempty"`
}

type unary struct {
	Kind string `json:"kind"`
	span
	Operator   string `json:"operator"`
	Expression int    `json:"expression"`
}

type parentheses struct {
	Kind string `json:"kind"`
	span
	Expression int `json:"expression"`
}

// text is a JSON string, or {"base64": ...} for the bytes of a string that is not UTF-8 ("\xff" is legal PromQL).
func text(value string) any {
	if utf8.ValidString(value) {
		return value
	}
	return map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(value))}
}

// reader goes through the tree and the tokens together. The tree says what comes next, so reading never guesses;
// the tokens say where everything stands, also what the tree has no position for (matchers, ranges, operators) or
// a wrong one (the parser's own ends of aggregations and offsets follow its look-ahead).
type reader struct {
	source *source
	tokens []token
	next   int
	nodes  []any
}

func (s *source) nodes(tree parser.Expr, tokens []token) []any {
	r := &reader{source: s, tokens: tokens}
	r.expression(tree, 1)
	if r.next != len(tokens) {
		panic(fmt.Sprintf("%q is left over", tokens[r.next].text))
	}
	return r.nodes
}

func (r *reader) at(kinds ...parser.ItemType) bool {
	return r.next < len(r.tokens) && slices.Contains(kinds, r.tokens[r.next].kind)
}

func (r *reader) take(kinds ...parser.ItemType) token {
	if r.next >= len(r.tokens) {
		panic(fmt.Sprintf("the end instead of %v", kinds))
	}
	if len(kinds) > 0 && !r.at(kinds...) {
		panic(fmt.Sprintf("%q instead of %v", r.tokens[r.next].text, kinds))
	}
	r.next++
	return r.tokens[r.next-1]
}

func (r *reader) skip(kinds ...parser.ItemType) {
	for r.at(kinds...) {
		r.next++
	}
}

// since spans the tokens from the given one to the last taken.
func (r *reader) since(first int) span {
	return r.source.span(r.tokens[first].start, r.tokens[r.next-1].end)
}

func (r *reader) add(node any) int {
	r.nodes = append(r.nodes, node)
	return len(r.nodes) - 1
}

func (r *reader) expression(expression parser.Expr, depth int) int {
	if depth > maximumDepth {
		where := r.tokens[min(r.next, len(r.tokens)-1)]
		panic(r.source.tooDeep(where.start, where.end))
	}
	first := r.next
	switch n := expression.(type) {
	case *parser.NumberLiteral:
		return r.add(r.number(n.Val))
	case *parser.StringLiteral:
		r.take(parser.STRING)
		return r.add(stringLiteral{"string", r.since(first), text(n.Val)})
	case *parser.VectorSelector:
		selector := r.selector(n)
		selector.modifiers = r.modifiers(n.OriginalOffset, n.OriginalOffsetExpr, n.Timestamp)
		selector.span = r.since(first)
		return r.add(selector)
	case *parser.MatrixSelector:
		return r.matrix(n)
	case *parser.SubqueryExpr:
		return r.subquery(n, depth)
	case *parser.Call:
		return r.call(n, depth)
	case *parser.AggregateExpr:
		return r.aggregation(n, depth)
	case *parser.BinaryExpr:
		return r.binary(n, depth)
	case *parser.UnaryExpr:
		r.take(parser.ADD, parser.SUB)
		operand := r.expression(n.Expr, depth+1)
		return r.add(unary{"unary", r.since(first), n.Op.String(), operand})
	case *parser.ParenExpr:
		r.take(parser.LEFT_PAREN)
		inner := r.expression(n.Expr, depth+1)
		r.take(parser.RIGHT_PAREN)
		return r.add(parentheses{"parentheses", r.since(first), inner})
	default:
		panic(fmt.Sprintf("unknown node %T", expression))
	}
}

// number takes the signs, which the parser folds into the value, and the number.
func (r *reader) number(value float64) numberLiteral {
	first := r.next
	r.skip(parser.ADD, parser.SUB)
	written := r.take(parser.NUMBER, parser.DURATION)
	return numberLiteral{
		Kind:       "number",
		span:       r.since(first),
		Value:      strconv.FormatFloat(value, 'g', -1, 64),
		IsDuration: written.kind == parser.DURATION,
	}
}

func (r *reader) selector(n *parser.VectorSelector) vectorSelector {
	first := r.next
	if n.Name != "" {
		r.take()
	}
	selector := vectorSelector{Kind: "vector_selector", Name: n.Name, Matchers: []labelMatcher{}}
	if !r.at(parser.LEFT_BRACE) {
		selector.span = r.since(first)
		selector.Braces = span{selector.End, selector.End}
		return selector
	}
	brace := r.next
	r.take(parser.LEFT_BRACE)
	for !r.at(parser.RIGHT_BRACE) {
		matcher := n.LabelMatchers[len(selector.Matchers)]
		start := r.next
		r.take(parser.IDENTIFIER, parser.STRING)
		if r.at(parser.EQL, parser.NEQ, parser.EQL_REGEX, parser.NEQ_REGEX) {
			r.take()
			r.take(parser.STRING)
		} else if matcher.Name != labels.MetricName {
			panic("a matcher without an operator that is no name")
		}
		selector.Matchers = append(selector.Matchers, labelMatcher{
			span:     r.since(start),
			Name:     text(matcher.Name),
			Operator: matcher.Type.String(),
			Value:    text(matcher.Value),
		})
		r.skip(parser.COMMA)
	}
	r.take(parser.RIGHT_BRACE)
	selector.span = r.since(first)
	selector.Braces = r.since(brace)
	return selector
}

// modifiers may stand in any order after a selector or subquery.
func (r *reader) modifiers(offset time.Duration, offsetExpression *parser.DurationExpr, timestamp *int64) modifiers {
	var found modifiers
	for {
		first := r.next
		switch {
		case r.at(parser.OFFSET):
			r.take()
			read := r.duration(offset, offsetExpression)
			found.Offset = &read
		case r.at(parser.AT):
			r.take()
			if r.at(parser.START, parser.END) {
				anchor := r.take().kind.String()
				r.take(parser.LEFT_PAREN)
				r.take(parser.RIGHT_PAREN)
				found.At = &atModifier{span: r.since(first), Anchor: anchor}
			} else {
				r.skip(parser.ADD, parser.SUB)
				r.take(parser.NUMBER, parser.DURATION)
				found.At = &atModifier{span: r.since(first), Milliseconds: timestamp}
			}
		case r.at(parser.ANCHORED, parser.SMOOTHED):
			found.Boundary = r.take().kind.String()
		default:
			return found
		}
	}
}

func (r *reader) duration(value time.Duration, expression *parser.DurationExpr) duration {
	first := r.next
	if expression == nil {
		r.skip(parser.ADD, parser.SUB)
		r.take(parser.NUMBER, parser.DURATION)
		return duration{span: r.since(first), Seconds: seconds(value)}
	}
	r.durationExpression(expression)
	usesContext := slices.ContainsFunc(r.tokens[first:r.next], func(one token) bool {
		return one.kind == parser.STEP || one.kind == parser.RANGE
	})
	return duration{span: r.since(first), Expression: expression.String(), UsesContext: usesContext}
}

// seconds divides once, so that 1622 ms are the number nearest to 1.622; Duration.Seconds adds two numbers.
func seconds(value time.Duration) string {
	divided := float64(value) / float64(time.Second)
	if value%time.Millisecond == 0 {
		divided = float64(value.Milliseconds()) / 1000
	}
	return strconv.FormatFloat(divided, 'g', -1, 64)
}

func (r *reader) durationExpression(expression parser.Expr) {
	r.skip(parser.ADD) // The parser drops a leading plus.
	n, ok := expression.(*parser.DurationExpr)
	if !ok {
		r.skip(parser.ADD, parser.SUB)
		r.take(parser.NUMBER, parser.DURATION)
		return
	}
	if n.Wrapped {
		pairs := r.nestedPairs()
		for range pairs {
			r.take(parser.LEFT_PAREN)
			r.skip(parser.ADD)
		}
		inner := *n
		inner.Wrapped = false
		r.durationExpression(&inner)
		for range pairs {
			r.take(parser.RIGHT_PAREN)
		}
		return
	}
	switch {
	case n.Op == parser.STEP || n.Op == parser.RANGE:
		r.take(n.Op)
		r.take(parser.LEFT_PAREN)
		r.take(parser.RIGHT_PAREN)
	case n.Op == parser.MIN_OF || n.Op == parser.MAX_OF:
		r.take(n.Op)
		r.take(parser.LEFT_PAREN)
		r.durationExpression(n.LHS)
		r.take(parser.COMMA)
		r.durationExpression(n.RHS)
		r.take(parser.RIGHT_PAREN)
	case n.LHS == nil:
		if n.Op == parser.SUB {
			r.take(parser.SUB)
		}
		r.durationExpression(n.RHS)
	default:
		r.durationExpression(n.LHS)
		r.take(n.Op)
		r.durationExpression(n.RHS)
	}
}

// nestedPairs counts the parentheses that open here and close directly inside each other: ((5m)) is wrapped once
// in the tree and twice in the text.
func (r *reader) nestedPairs() int {
	closing := map[int]int{}
	var open []int
	for i := r.next; i < len(r.tokens); i++ {
		if r.tokens[i].kind == parser.LEFT_PAREN {
			open = append(open, i)
		}
		if r.tokens[i].kind == parser.RIGHT_PAREN && len(open) > 0 {
			closing[open[len(open)-1]] = i
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			break
		}
	}
	pairs := 0
	outer := r.next
	for {
		pairs++
		inner := outer + 1
		for r.tokens[inner].kind == parser.ADD {
			inner++
		}
		if r.tokens[inner].kind != parser.LEFT_PAREN || closing[inner] != closing[outer]-1 {
			return pairs
		}
		outer = inner
	}
}

func (r *reader) matrix(n *parser.MatrixSelector) int {
	first := r.next
	inner := n.VectorSelector.(*parser.VectorSelector)
	selector := r.add(r.selector(inner))
	early := r.modifiers(inner.OriginalOffset, inner.OriginalOffsetExpr, inner.Timestamp)
	r.take(parser.LEFT_BRACKET)
	length := r.duration(n.Range, n.RangeExpr)
	r.take(parser.RIGHT_BRACKET)
	found := r.modifiers(inner.OriginalOffset, inner.OriginalOffsetExpr, inner.Timestamp)
	if found.Boundary == "" {
		found.Boundary = early.Boundary // "x anchored [5m]" is legal and the same as "x[5m] anchored".
	}
	return r.add(matrixSelector{"matrix_selector", r.since(first), selector, length, found})
}

func (r *reader) subquery(n *parser.SubqueryExpr, depth int) int {
	first := r.next
	inner := r.expression(n.Expr, depth+1)
	r.take(parser.LEFT_BRACKET)
	node := subquery{Kind: "subquery", Expression: inner, Range: r.duration(n.Range, n.RangeExpr)}
	r.take(parser.COLON)
	if !r.at(parser.RIGHT_BRACKET) {
		step := r.duration(n.Step, n.StepExpr)
		node.Step = &step
	}
	r.take(parser.RIGHT_BRACKET)
	node.modifiers = r.modifiers(n.OriginalOffset, n.OriginalOffsetExpr, n.Timestamp)
	node.span = r.since(first)
	return r.add(node)
}

func (r *reader) call(n *parser.Call, depth int) int {
	first := r.next
	r.take()
	r.take(parser.LEFT_PAREN)
	arguments := []int{}
	for i, argument := range n.Args {
		if i > 0 {
			r.take(parser.COMMA)
		}
		arguments = append(arguments, r.expression(argument, depth+1))
	}
	r.take(parser.RIGHT_PAREN)
	return r.add(call{"call", r.since(first), n.Func.Name, arguments, string(n.Func.ReturnType)})
}

func (r *reader) aggregation(n *parser.AggregateExpr, depth int) int {
	first := r.next
	r.take(n.Op)
	node := aggregation{Kind: "aggregation", Operator: n.Op.String(), Grouping: r.grouping()}
	r.take(parser.LEFT_PAREN)
	if n.Param != nil {
		parameter := r.expression(n.Param, depth+1)
		node.Parameter = &parameter
		r.take(parser.COMMA)
	}
	node.Expression = r.expression(n.Expr, depth+1)
	r.take(parser.RIGHT_PAREN)
	if node.Grouping == nil {
		node.Grouping = r.grouping()
	}
	node.span = r.since(first)
	return r.add(node)
}

func (r *reader) grouping() *grouping {
	if !r.at(parser.BY, parser.WITHOUT) {
		return nil
	}
	first := r.next
	without := r.take().kind == parser.WITHOUT
	names := r.labels()
	return &grouping{r.since(first), without, names}
}

func (r *reader) labels() []any {
	names := []any{}
	r.take(parser.LEFT_PAREN)
	for !r.at(parser.RIGHT_PAREN) {
		name := r.take()
		if name.kind == parser.STRING {
			unquoted, err := strutil.Unquote(name.text)
			if err != nil {
				panic(err.Error())
			}
			names = append(names, text(unquoted))
		} else {
			names = append(names, text(name.text))
		}
		r.skip(parser.COMMA)
	}
	r.take(parser.RIGHT_PAREN)
	return names
}

func (r *reader) binary(n *parser.BinaryExpr, depth int) int {
	first := r.next
	node := binary{Kind: "binary", Operator: n.Op.String(), ReturnBool: n.ReturnBool}
	node.Left = r.expression(n.LHS, depth+1)
	operator := r.take(n.Op)
	node.OperatorPosition = r.source.span(operator.start, operator.end)
	r.skip(parser.BOOL)
	node.Matching = r.matching(n.VectorMatching)
	node.Right = r.expression(n.RHS, depth+1)
	node.span = r.since(first)
	return r.add(node)
}

// matching is read from the tokens: between a vector and a scalar the tree drops what is written.
func (r *reader) matching(n *parser.VectorMatching) *matching {
	first := r.next
	found := matching{Labels: []any{}, Include: []any{}}
	if r.at(parser.ON, parser.IGNORING) {
		found.Keyword = r.take().kind.String()
		found.Labels = r.labels()
	}
	if r.at(parser.GROUP_LEFT, parser.GROUP_RIGHT) {
		found.Group = "right"
		if r.take().kind == parser.GROUP_LEFT {
			found.Group = "left"
		}
		if r.at(parser.LEFT_PAREN) {
			found.Include = r.labels()
		}
	}
	for r.at(parser.FILL, parser.FILL_LEFT, parser.FILL_RIGHT) {
		kind := r.take().kind
		r.take(parser.LEFT_PAREN)
		if kind != parser.FILL_RIGHT {
			start := r.next
			value := r.number(*n.FillValues.LHS)
			found.FillLeft = &value
			if kind == parser.FILL {
				r.next = start
			}
		}
		if kind != parser.FILL_LEFT {
			value := r.number(*n.FillValues.RHS)
			found.FillRight = &value
		}
		r.take(parser.RIGHT_PAREN)
	}
	if r.next == first {
		return nil
	}
	found.span = r.since(first)
	return &found
}
