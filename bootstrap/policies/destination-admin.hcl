# Destination admin: owns the accounts in the clouds and their credentials.
#
# This is as good as reading every secret that rules or teams send to these
# destinations: whoever may write one can point it to another account. Give it to
# few people, or to the pipeline that runs Terraform, and to nobody who writes
# rules if two persons should be needed for a new way out.

# Vault doesn't look at the parameters of a deletion, so force=true, with which a
# destination is deleted although it has replicas, can't be denied by itself. Take
# "delete" away where that matters.
path "cloudsync/destinations" {
  capabilities = ["list"]
}

path "cloudsync/destinations/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# How the destinations do, and which secrets wait for them.
path "cloudsync/status" {
  capabilities = ["read", "list"]
}

# What has to be sent again when an account was repaired.
path "cloudsync/sync/*" {
  capabilities = ["update"]
}
