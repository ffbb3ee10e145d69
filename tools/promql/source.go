package main

import (
	"fmt"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// The parser's checks take time quadratic in the depth, and readers of the tree recurse.
	maximumDepth = 250
	// Operators side by side make a deep tree only when they associate; with precedence between them
	// many may still be shallow, so this only stops what would keep the parser busy for seconds.
	maximumOperatorsSideBySide = 10 * maximumDepth
)

// span is a range of characters, the end exclusive.
type span struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// source is one expression and the way from the parser's byte offsets to characters.
type source struct {
	text string
	// characters[i] is the number of characters that begin before byte i; nil when every character is a byte.
	characters []int
}

type token struct {
	kind       parser.ItemType
	text       string
	start, end int // bytes
}

func newSource(text string) *source {
	if utf8.RuneCountInString(text) == len(text) {
		return &source{text: text}
	}
	characters := make([]int, len(text)+1)
	count := 0
	for i := range len(text) {
		characters[i] = count
		if i+1 == len(text) || utf8.RuneStart(text[i+1]) {
			count++
		}
	}
	characters[len(text)] = count
	return &source{text: text, characters: characters}
}

// span converts bytes to characters; the parser's error positions may lie outside the text and are moved into it.
func (s *source) span(start, end int) span {
	start = min(max(start, 0), len(s.text))
	end = min(max(end, start), len(s.text))
	if s.characters == nil {
		return span{start, end}
	}
	return span{s.characters[start], s.characters[end]}
}

// tokens are those that the grammar sees, up to the first lexical error; comments are left out.
func (s *source) tokens() []token {
	lexer := parser.Lex(s.text)
	var found []token
	for {
		var item parser.Item
		lexer.NextItem(&item)
		if item.Typ == parser.EOF || item.Typ == parser.ERROR {
			return found
		}
		if item.Typ != parser.COMMENT {
			start := int(item.Pos)
			found = append(found, token{item.Typ, item.Val, start, start + len(item.Val)})
		}
	}
}

func (s *source) refuseDeepNesting(tokens []token) {
	operators := []int{0}
	for _, one := range tokens {
		last := len(operators) - 1
		switch {
		case one.kind == parser.LEFT_PAREN:
			operators = append(operators, 0)
		case one.kind == parser.RIGHT_PAREN && last > 0:
			operators = operators[:last]
		case one.kind == parser.COMMA:
			operators[last] = 0
		case one.kind.IsOperator():
			operators[last]++
		}
		if len(operators) > maximumDepth || operators[len(operators)-1] > maximumOperatorsSideBySide {
			panic(s.tooDeep(one.start, one.end))
		}
	}
}

func (s *source) tooDeep(start, end int) problem {
	message := fmt.Sprintf("nested more than %d levels deep", maximumDepth)
	return problem{Message: message, span: s.span(start, end)}
}
