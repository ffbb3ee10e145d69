// stakewatch-ruleclock evaluates Prometheus rule files over simulated time, with Prometheus' own rule manager.
//
// usage: stakewatch-ruleclock [--interval 30s] [--keep] FOLDER [RULE_FILE...]
// FOLDER takes the database. Commands come on standard input; each starts with a letter and 4 bytes,
// little endian, that say how many items follow:
//
//	S  series: per item its identifier (4 bytes), the length of its labels (4 bytes), the labels as a JSON object
//	V  values: the identifiers (4 bytes each), then the values (64-bit floats); a series keeps its value
//	D  series that end: their identifiers; each gets a stale marker at the next scrape
//	T  a scrape (no items): 8 bytes Unix milliseconds; every series that has a value gets a sample
//	E  an evaluation (no items): 8 bytes Unix milliseconds; all groups in the order of their files
//
// Each evaluation is answered by one JSON line: "at", "seconds", "groups" (seconds by name), "errors", and
// "changes", the alerts that are in another state than one evaluation before. At the end of its input
// it ends; with --keep, FOLDER is then a database that Prometheus opens, else it holds nothing of use.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"sort"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

const (
	prometheusModule = "github.com/prometheus/prometheus"
	// What a person could send by mistake must not take all memory.
	mostItems       = 10_000_000
	longestLabels   = 1 << 20
	mostQuerySample = 500_000_000
	longestDatabase = 400 * 24 * time.Hour
)

type change struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	State       string            `json:"state"`
	Value       *float64          `json:"value,omitempty"`
}

type answer struct {
	At      int64              `json:"at"`
	Seconds float64            `json:"seconds"`
	Groups  map[string]float64 `json:"groups"`
	Errors  []string           `json:"errors"`
	Changes []change           `json:"changes"`
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Printf("stakewatch-ruleclock, version %s\n", prometheusVersion())
		return
	}
	interval := flag.Duration("interval", 30*time.Second, "between two evaluations")
	keep := flag.Bool("keep", false, "write a log into FOLDER, from which Prometheus takes all samples into its memory")
	flag.Parse()
	if flag.NArg() < 1 || *interval <= 0 {
		fmt.Fprintln(os.Stderr, "usage: stakewatch-ruleclock [--interval 30s] [--keep] FOLDER [RULE_FILE...]")
		os.Exit(2)
	}
	if err := run(os.Stdin, os.Stdout, *interval, *keep, flag.Arg(0), flag.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stakewatch-ruleclock:", err)
		os.Exit(1)
	}
}

// prometheusVersion turns the module's version into Prometheus' own: v0.315.0 is the library of 3.15.0.
func prometheusVersion() string {
	information, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range information.Deps {
		var minor, patch int
		if module.Path != prometheusModule {
			continue
		}
		if _, err := fmt.Sscanf(module.Version, "v0.3%02d.%d", &minor, &patch); err != nil {
			return module.Version
		}
		return fmt.Sprintf("3.%d.%d", minor, patch)
	}
	return "unknown"
}

func run(
	input io.Reader, output io.Writer, interval time.Duration, keep bool, folder string, files []string,
) (err error) {
	options := tsdb.DefaultOptions()
	// One block and no retention: nothing is compacted or dropped while the clock runs.
	options.MinBlockDuration = longestDatabase.Milliseconds()
	options.MaxBlockDuration = longestDatabase.Milliseconds()
	options.RetentionDuration = 0
	if !keep {
		// A day of a large fleet would write gigabytes of log that nobody reads.
		options.WALSegmentSize = -1
	}
	database, err := tsdb.Open(folder, promslog.NewNopLogger(), nil, options, tsdb.NewDBStats())
	if err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	database.DisableCompactions()
	defer func() { err = errors.Join(err, database.Close()) }()
	groups, err := load(database, interval, files)
	if err != nil {
		return err
	}
	c := &clock{database: database, groups: groups, active: map[uint64]known{}}
	return c.serve(bufio.NewReaderSize(input, 1<<20), output)
}

// load returns the groups in the order of the files and of the groups in each.
func load(database *tsdb.DB, interval time.Duration, files []string) ([]*rules.Group, error) {
	engine := promql.NewEngine(promql.EngineOpts{
		Logger:                   promslog.NewNopLogger(),
		MaxSamples:               mostQuerySample,
		Timeout:                  10 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return interval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		LookbackDelta:            5 * time.Minute,
		Parser:                   parser.NewParser(parser.Options{}),
	})
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:  rules.EngineQueryFunc(engine, database),
		Appendable: database,
		Queryable:  database,
		Context:    context.Background(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Logger:     promslog.NewNopLogger(),
		Parser:     parser.NewParser(parser.Options{}),
	})
	loaded, problems := manager.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, files...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	position := map[string]int{}
	for index, file := range files {
		position[file] = index
	}
	groups := make([]*rules.Group, 0, len(loaded))
	for _, group := range loaded {
		groups = append(groups, group)
		for _, rule := range group.Rules() {
			if alert, ok := rule.(*rules.AlertingRule); ok {
				// Else the first evaluations would write no ALERTS.
				alert.SetRestored(true)
			}
		}
	}
	sort.Slice(groups, func(i, j int) bool {
		one, other := groups[i], groups[j]
		if one.File() != other.File() {
			return position[one.File()] < position[other.File()]
		}
		return one.Name() < other.Name()
	})
	return groups, nil
}

type series struct {
	labels    labels.Labels
	reference storage.SeriesRef
	value     float64
	live      bool
	ending    bool
}

type clock struct {
	database *tsdb.DB
	groups   []*rules.Group
	series   []series
	active   map[uint64]known
}

type known struct {
	state  rules.AlertState
	labels labels.Labels
}

func (c *clock) serve(input io.Reader, output io.Writer) error {
	encoder := json.NewEncoder(output)
	encoder.SetEscapeHTML(false)
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(input, head); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		count := binary.LittleEndian.Uint32(head[1:])
		if count > mostItems {
			return fmt.Errorf("a command %q with %d items", head[0], count)
		}
		if err := c.obey(head[0], int(count), input, encoder); err != nil {
			return err
		}
	}
}

func (c *clock) obey(command byte, count int, input io.Reader, encoder *json.Encoder) error {
	switch command {
	case 'S':
		return c.define(count, input)
	case 'V':
		return c.set(count, input)
	case 'D':
		return c.end(count, input)
	case 'T', 'E':
		moment := make([]byte, 8)
		if _, err := io.ReadFull(input, moment); err != nil {
			return err
		}
		at := int64(binary.LittleEndian.Uint64(moment))
		if command == 'T' {
			return c.scrape(at)
		}
		return encoder.Encode(c.evaluate(at))
	}
	return fmt.Errorf("there is no command %q", command)
}

func (c *clock) define(count int, input io.Reader) error {
	head := make([]byte, 8)
	for range count {
		if _, err := io.ReadFull(input, head); err != nil {
			return err
		}
		identifier := int(binary.LittleEndian.Uint32(head))
		length := binary.LittleEndian.Uint32(head[4:])
		if identifier != len(c.series) || length > longestLabels {
			return fmt.Errorf("series %d with %d bytes of labels, expected is series %d", identifier, length, len(c.series))
		}
		text := make([]byte, length)
		if _, err := io.ReadFull(input, text); err != nil {
			return err
		}
		named := map[string]string{}
		if err := json.Unmarshal(text, &named); err != nil {
			return fmt.Errorf("series %d: %w", identifier, err)
		}
		c.series = append(c.series, series{labels: labels.FromMap(named)})
	}
	return nil
}

func (c *clock) identifiers(count int, input io.Reader) ([]uint32, error) {
	numbers := make([]uint32, count)
	if err := binary.Read(input, binary.LittleEndian, numbers); err != nil {
		return nil, err
	}
	for _, number := range numbers {
		if int(number) >= len(c.series) {
			return nil, fmt.Errorf("there is no series %d", number)
		}
	}
	return numbers, nil
}

func (c *clock) set(count int, input io.Reader) error {
	numbers, err := c.identifiers(count, input)
	if err != nil {
		return err
	}
	values := make([]float64, count)
	if err := binary.Read(input, binary.LittleEndian, values); err != nil {
		return err
	}
	for index, number := range numbers {
		one := &c.series[number]
		one.value, one.live, one.ending = values[index], true, false
	}
	return nil
}

func (c *clock) end(count int, input io.Reader) error {
	numbers, err := c.identifiers(count, input)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		one := &c.series[number]
		one.ending = one.ending || one.live
		one.live = false
	}
	return nil
}

func (c *clock) scrape(at int64) error {
	appender := c.database.Appender(context.Background())
	for index := range c.series {
		one := &c.series[index]
		number := one.value
		if !one.live {
			if !one.ending {
				continue
			}
			one.ending = false
			number = math.Float64frombits(value.StaleNaN)
		}
		reference, err := appender.Append(one.reference, one.labels, at, number)
		if err != nil {
			return errors.Join(fmt.Errorf("%s at %d: %w", one.labels, at, err), appender.Rollback())
		}
		one.reference = reference
	}
	return appender.Commit()
}

func (c *clock) evaluate(at int64) answer {
	moment := time.UnixMilli(at)
	result := answer{At: at, Groups: map[string]float64{}, Errors: []string{}, Changes: []change{}}
	began := time.Now()
	for _, group := range c.groups {
		started := time.Now()
		group.Eval(context.Background(), moment)
		result.Groups[group.Name()] += time.Since(started).Seconds()
	}
	result.Seconds = time.Since(began).Seconds()
	active := map[uint64]known{}
	for _, group := range c.groups {
		for _, rule := range group.Rules() {
			if err := rule.LastError(); err != nil {
				result.Errors = append(result.Errors, fmt.Sprintf("%s: %s: %v", group.Name(), rule.Name(), err))
			}
			if alert, ok := rule.(*rules.AlertingRule); ok {
				alert.ForEachActiveAlert(func(one *rules.Alert) { c.note(one, active, &result) })
			}
		}
	}
	for key, one := range c.active {
		if _, still := active[key]; !still {
			ended := change{Labels: one.labels.Map(), State: rules.StateInactive.String()}
			result.Changes = append(result.Changes, ended)
		}
	}
	c.active = active
	return result
}

// note adds an alert to the answer when its state has changed. One that has ended is kept by Prometheus for a while.
func (c *clock) note(alert *rules.Alert, active map[uint64]known, result *answer) {
	if alert.State == rules.StateInactive {
		return
	}
	key := alert.Labels.Hash()
	active[key] = known{alert.State, alert.Labels.Copy()}
	if alert.State == c.active[key].state {
		return
	}
	found := change{Labels: alert.Labels.Map(), Annotations: alert.Annotations.Map(), State: alert.State.String()}
	if !math.IsNaN(alert.Value) && !math.IsInf(alert.Value, 0) {
		number := alert.Value
		found.Value = &number
	}
	result.Changes = append(result.Changes, found)
}
