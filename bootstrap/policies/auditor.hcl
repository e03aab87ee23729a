# Auditor: sees which secrets there are, where each is, under which name, key and
# tags, by which rule, and whether it is in sync. Sees no value and changes nothing.

path "cloudsync/status" {
  capabilities = ["read", "list"]
}

# What was changed at the clouds, why, and by whom.
path "cloudsync/trail/*" {
  capabilities = ["read"]
}

path "cloudsync/status/*" {
  capabilities = ["read"]
}

# Comparing replicas with the cloud. What somebody else changed there is noted, and
# nothing is repaired.
path "cloudsync/verify" {
  capabilities       = ["update"]
  allowed_parameters = { "match" = [], "destination" = [], "values" = [], "wait" = [] }
}

path "cloudsync/verify/*" {
  capabilities       = ["update"]
  allowed_parameters = { "destination" = [], "values" = [], "wait" = [] }
}

# Which secret has a remote name, which replicas are under which KMS key, and what
# this build knows.
path "cloudsync/lookup/*" {
  capabilities = ["read"]
}

path "cloudsync/keys" {
  capabilities = ["read"]
}

# What is in the cloud and whose it is: names and descriptions, no values.
path "cloudsync/remote/*" {
  capabilities = ["list"]
}

# Long work that somebody asked for: how far it is, and what came of it.
path "cloudsync/jobs" {
  capabilities = ["list"]
}

path "cloudsync/jobs/*" {
  capabilities = ["read", "list"]
}

path "cloudsync/info" {
  capabilities = ["read"]
}

path "cloudsync/rules" {
  capabilities = ["list"]
}

path "cloudsync/rules/*" {
  capabilities = ["read", "list"]
}

# Settings and which credentials are set, never the credentials.
path "cloudsync/destinations" {
  capabilities = ["list"]
}

path "cloudsync/destinations/*" {
  capabilities = ["read", "list"]
}

path "cloudsync/config" {
  capabilities = ["read"]
}

# Names and times of versions, custom metadata. Not data/ and not secrets/, which
# have the values; subkeys/ has the keys of the data.
path "cloudsync/metadata/*" {
  capabilities = ["read", "list"]
}

# What convergence would do, now or after a change of settings. These POSTs only
# read. Not with a value: whoever may give one learns whether it is the right one.
path "cloudsync/plan" {
  capabilities = ["update"]
}

path "cloudsync/plan/*" {
  capabilities = ["update"]

  denied_parameters = {
    "data"    = []
    "value"   = []
    "binary"  = []
    "version" = []
  }
}

path "cloudsync/rules/+/plan" {
  capabilities = ["update"]
}

path "cloudsync/metrics" {
  capabilities = ["read"]
}

# Which managed credentials there are, where, and in which state. Their own paths
# aren't for this role: one below each has the value.
path "cloudsync/managed/*" {
  capabilities = ["list"]
}
