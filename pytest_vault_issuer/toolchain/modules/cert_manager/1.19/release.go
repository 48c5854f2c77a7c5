package main

import (
	"github.com/spf13/pflag"

	"github.com/cert-manager/cert-manager/pkg/controller"
)

// ofRelease has nothing to do: this release makes its clock and its metrics itself, and has no flags for backoffs.
func ofRelease(*controller.ContextOptions, *pflag.FlagSet) {}
