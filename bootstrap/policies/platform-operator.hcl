# Platform operator: says which secrets go where, runs the mount, and sees where
# everything stands. Sees no value and no credential.
#
# Whoever may write destinations can have secrets sent to an account of his own.
# That is for the destination admin, not here.

# The rules, and what a change of one would do.
path "cloudsync/rules" {
  capabilities = ["list"]
}

path "cloudsync/rules/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Settings of destinations, without credentials, and harmless live calls.
path "cloudsync/destinations" {
  capabilities = ["list"]
}

path "cloudsync/destinations/*" {
  capabilities = ["read", "list"]
}

path "cloudsync/destinations/+/+/check" {
  capabilities = ["update"]
}

# Pausing the mount, how long writes wait, how many versions are kept.
path "cloudsync/config" {
  capabilities = ["read", "update"]
}

path "cloudsync/resume" {
  capabilities = ["update"]
}

# Letting deletions go on that were held for review.
path "cloudsync/release-held/*" {
  capabilities = ["update"]
}

# Deciding about secrets after a restored snapshot. take=remote writes what is in
# the cloud to Vault; its answer has no value.
path "cloudsync/resume/*" {
  capabilities = ["update"]
}

# Where replicas stand, and trying them again.
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

path "cloudsync/sync/*" {
  capabilities = ["update"]
}

# What convergence would do, now or after a change of settings; these POSTs only
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

# Comparing replicas with the cloud, and repairing what somebody else changed there.
path "cloudsync/verify" {
  capabilities = ["update"]
}

path "cloudsync/verify/*" {
  capabilities = ["update"]
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

# Giving a replica back to those who look after the remote secret.
path "cloudsync/release/*" {
  capabilities = ["update"]
}

# Bringing secrets of a cloud into Vault. This writes secrets of every name that
# allowed_paths of the destination allows; the values aren't shown.
path "cloudsync/import/*" {
  capabilities = ["update"]
}

# Long work that somebody asked for: how far it is, and what came of it, and its end.
path "cloudsync/jobs" {
  capabilities = ["list"]
}

path "cloudsync/jobs/*" {
  capabilities = ["read", "list", "delete"]
}

path "cloudsync/jobs/+/cancel" {
  capabilities = ["update"]
}

path "cloudsync/info" {
  capabilities = ["read"]
}

# Another KMS key for a replica that is there.
path "cloudsync/rekey/*" {
  capabilities = ["update"]
}

path "cloudsync/metrics" {
  capabilities = ["read"]
}

# The exception to a rule: settings of one secret. Never its value, and only of a
# secret that is there ("create" is missing).
path "cloudsync/secrets/*" {
  capabilities = ["update"]

  denied_parameters = {
    "data"   = []
    "value"  = []
    "binary" = []
  }
}

# Which managed credentials there are, where, and in which state. Their own paths
# aren't for this role: one below each has the value.
path "cloudsync/managed/*" {
  capabilities = ["list"]
}
