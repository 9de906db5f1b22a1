package demo

import (
	"fmt"
	"io"

	"quartet/bus"
	"quartet/master/ledger"
)

// writeReport prints a report for people below what has been printed.
func writeReport(to io.Writer, r bus.Report, err error) error {
	if err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	if _, err := fmt.Fprintln(to); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := ledger.WriteTable(to, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
