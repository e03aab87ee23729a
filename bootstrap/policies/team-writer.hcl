# Team writer: writes and reads the team's own secrets. Where they go, under which
# names, keys and tags, is decided by the platform team's rules.
#
# The team is the entity's metadata "team", so that one policy serves all teams:
#
#   vault write identity/entity name=ann metadata=team=team-a
#
# A token whose entity has no such metadata can use none of these paths. Whoever may
# write entities decides who is in which team. For a team without identities:
#
#   sed 's/{{identity.entity.metadata.team}}/team-a/' team-writer.hcl |
#     vault policy write team-a-writer -

# By KV: vault kv put, get, patch, rollback, list, metadata get, and any client of
# KV v2. These paths know values and versions and no settings.
path "cloudsync/data/{{identity.entity.metadata.team}}/*" {
  capabilities = ["create", "read", "update", "patch"]
}

path "cloudsync/subkeys/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read"]
}

path "cloudsync/metadata/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read", "list"]
}

# By the engine's own path, with its answer of where the secret is. Only the value
# can be given. To grant a setting, name it here, with the values that are allowed:
#
#   "destinations"    = ["tencent-ssm/prod-gz"]
#   "kms_key_id"      = ["kms-1", "kms-2"]
#   "tags"            = []                       # any
#   "remote_name"     = []
#   "deletion_policy" = ["retain"]
#
# Of a list in JSON each element has to be among the values; a text such as
# "a/b,c/d", which the command line sends, has to be one of them as a whole. A rule
# with allowed_destinations limits what may be chosen, whatever the form.
path "cloudsync/secrets/{{identity.entity.metadata.team}}/*" {
  capabilities = ["create", "read", "update", "patch", "list"]

  allowed_parameters = {
    "data"    = []
    "value"   = []
    "binary"  = []
    "cas"     = []
    "wait"    = []
    "version" = []
  }
}

path "cloudsync/rollback/{{identity.entity.metadata.team}}/*" {
  capabilities = ["update"]
}

# Deletion isn't granted: neither of secrets, which deletes replicas, nor of single
# versions, after which readers in the clouds get an older one or none. To grant
# soft deletion, which can be undone:
#
#   path "cloudsync/data/{{identity.entity.metadata.team}}/*" {
#     capabilities = ["create", "read", "update", "patch", "delete"]
#   }
#   path "cloudsync/delete/{{identity.entity.metadata.team}}/*" {
#     capabilities = ["update"]
#   }
#   path "cloudsync/undelete/{{identity.entity.metadata.team}}/*" {
#     capabilities = ["update"]
#   }
#
# and to grant deletion for good, "delete" on metadata/, "update" on destroy/.

# What a write would do at the clouds; only reads.
path "cloudsync/plan/{{identity.entity.metadata.team}}/*" {
  capabilities = ["update"]

  allowed_parameters = {
    "data"    = []
    "value"   = []
    "binary"  = []
    "version" = []
    "delete"  = []
  }
}

# Where the team's secrets are, and trying again what is blocked.
path "cloudsync/trail/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read"]
}

path "cloudsync/status/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read"]
}

path "cloudsync/sync/{{identity.entity.metadata.team}}/*" {
  capabilities = ["update"]
}
