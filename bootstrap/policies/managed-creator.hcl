# Managed creator: has clouds make credentials for the team, changes their schedule
# and what else can be changed, and deletes them. Sees no value. The team is the
# entity's metadata "team", and the credentials are named team/name, in two segments.
#
# Which destinations may be used is decided by their allowed_paths. To bind it here
# too, add "destination" = ["tencent-ssm/prod"] and "*" = [] as allowed_parameters.

path "cloudsync/managed/{{identity.entity.metadata.team}}/+" {
  capabilities = ["create", "read", "update", "delete"]

  # The value would become a secret of any name, which others may read.
  denied_parameters = {
    "replicate_to" = []
  }
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/+/rotation" {
  capabilities = ["read", "update"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/+/history" {
  capabilities = ["read"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/" {
  capabilities = ["list"]
}

# A credential that is named like the team isn't the team's.
path "cloudsync/managed/{{identity.entity.metadata.team}}/credentials" {
  capabilities = ["deny"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/rotate" {
  capabilities = ["deny"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/rotation" {
  capabilities = ["deny"]
}

# What can be made at each destination.
path "cloudsync/managed-products/*" {
  capabilities = ["read"]
}
