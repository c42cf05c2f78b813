// Package tools pins the programs of the end-to-end world: each is a `tool` line of go.mod.
// The import below keeps KubeVirt's API types in the module, for the CRDs that controller-gen makes of them.
package tools

import _ "kubevirt.io/api/core/v1"
