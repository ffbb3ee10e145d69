// stakewatch-promql answers PromQL expressions with their syntax tree, parsed by Prometheus' own parser.
//
// It reads one JSON object per line from standard input, {"id": 1, "expr": "up == 0"}, and writes one line for
// each: {"id": 1, "nodes": [...]} or {"id": 1, "errors": [{"message", "start", "end"}]}. It ends with its input.
// Nodes stand children first, so that the last one is the root; a child is named by its index.
// All positions are offsets in characters (Unicode code points) into the expression, the end exclusive.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

const prometheusModule = "github.com/prometheus/prometheus"

type request struct {
	ID         int64  `json:"id"`
	Expression string `json:"expr"`
}

type problem struct {
	Message string `json:"message"`
	span
}

type answer struct {
	ID     int64     `json:"id"`
	Nodes  []any     `json:"nodes,omitempty"`
	Errors []problem `json:"errors,omitempty"`
}

func main() {
	if len(os.Args) > 1 {
		if len(os.Args) == 2 && os.Args[1] == "--version" {
			fmt.Printf("stakewatch-promql, version %s\n", parserVersion())
			return
		}
		fmt.Fprintln(os.Stderr, "usage: stakewatch-promql [--version]; it reads JSON lines from standard input")
		os.Exit(2)
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stakewatch-promql:", err)
		os.Exit(1)
	}
}

// parserVersion turns the module's version into Prometheus' own: v0.315.0 is the library of 3.15.0.
func parserVersion() string {
	information, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range information.Deps {
		if module.Path != prometheusModule {
			continue
		}
		var minor, patch int
		if _, err := fmt.Sscanf(module.Version, "v0.3%02d.%d", &minor, &patch); err != nil {
			return module.Version
		}
		return fmt.Sprintf("3.%d.%d", minor, patch)
	}
	return "unknown"
}

func serve(input io.Reader, output io.Writer) error {
	reader := bufio.NewReader(input)
	writer := bufio.NewWriter(output)
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	// Whatever a user's Prometheus has switched on must parse; promtool says what is not enabled.
	prometheus := parser.NewParser(parser.Options{
		EnableExperimentalFunctions:  true,
		ExperimentalDurationExpr:     true,
		EnableExtendedRangeSelectors: true,
		EnableBinopFillModifiers:     true,
	})
	for {
		line, readError := reader.ReadBytes('\n')
		if readError != nil && !errors.Is(readError, io.EOF) {
			return readError
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			var asked request
			if err := json.Unmarshal(line, &asked); err != nil {
				return fmt.Errorf("not a request: %w", err)
			}
			if err := encoder.Encode(respond(prometheus, asked)); err != nil {
				return err
			}
			if err := writer.Flush(); err != nil {
				return err
			}
		}
		if readError != nil {
			return nil
		}
	}
}

func respond(prometheus parser.Parser, asked request) (given answer) {
	text := newSource(asked.Expression)
	defer func() {
		if cause := recover(); cause != nil {
			found, ok := cause.(problem)
			if !ok {
				found = problem{Message: fmt.Sprintf("cannot be read: %v", cause), span: text.span(0, len(asked.Expression))}
			}
			given = answer{ID: asked.ID, Errors: []problem{found}}
		}
	}()
	tokens := text.tokens()
	text.refuseDeepNesting(tokens)
	tree, err := prometheus.ParseExpr(asked.Expression)
	if err != nil {
		return answer{ID: asked.ID, Errors: text.problems(err)}
	}
	return answer{ID: asked.ID, Nodes: text.nodes(tree, tokens)}
}

func (s *source) problems(err error) []problem {
	var found parser.ParseErrors
	if !errors.As(err, &found) || len(found) == 0 {
		return []problem{{Message: err.Error(), span: s.span(0, len(s.text))}}
	}
	listed := make([]problem, 0, len(found))
	for _, one := range found {
		where := s.span(int(one.PositionRange.Start), int(one.PositionRange.End))
		listed = append(listed, problem{Message: strings.TrimSpace(one.Err.Error()), span: where})
	}
	return listed
}
