// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func updateSecretVersionStage(c *call, r *reader) work {
	name, label := r.secretName(), r.need("VersionStage")
	to, from := r.versionID("MoveToVersion"), r.versionID("RemoveFromVersion")
	builtIn := label == labelCurrent || label == labelPrevious
	r.check("VersionStage", identifier(label))
	if to == "" && (from == "" || builtIn) {
		r.need("MoveToVersion") // labels of the service's own can be moved only
	}
	return func() (reply, *emulator.Failure) {
		next, failure := c.writable(name)
		if failure != nil {
			return nil, failure
		}
		for _, id := range []string{to, from} {
			if _, there := next.find(id); id != "" && !there {
				return nil, c.switches.versionNotFound()
			}
		}
		if from != "" && next.Labels[label] != from {
			return nil, invalid("RemoveFromVersion")
		}
		if to == "" {
			delete(next.Labels, label)
		} else {
			next.mark(label, to)
		}
		if failure := c.checkLabels(next); failure != nil {
			return nil, failure
		}
		return reply{"SecretName": next.Name}, c.store(next)
	}
}

func listSecretVersionIDs(c *call, r *reader) work {
	name, deprecated := r.secretName(), r.flag("IncludeDeprecated", false)
	number := r.number("PageNumber", 1, maxPageNumber, 1)
	size := r.number("PageSize", 1, maxPage, c.switches.versionPage())
	return func() (reply, *emulator.Failure) {
		found, failure := c.secret(name)
		if failure != nil {
			return nil, failure
		}
		rows := []reply{}
		for _, v := range found.Versions {
			labels := found.labelsOf(v.ID)
			if len(labels) > 0 || deprecated {
				rows = append(rows, reply{
					"VersionId": v.ID, "CreateTime": timeText(v.Created), "VersionStages": reply{"VersionStage": labels},
				})
			}
		}
		if c.switches.NewestFirst {
			slices.Reverse(rows)
		}
		return reply{
			"SecretName": found.Name, "PageNumber": number, "PageSize": size, "TotalCount": len(rows),
			"VersionIds": reply{"VersionId": page(rows, number, size)},
		}, nil
	}
}
