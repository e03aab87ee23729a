# CI pipeline: writes the secrets of one application and waits until they are in the
# clouds, and can't read them back. The entity's metadata "team" and "app" say which
# application it is: team-a/shop/* below.
#
#   vault write identity/entity name=pipeline-shop metadata=team=team-a metadata=app=shop

path "cloudsync/data/{{identity.entity.metadata.team}}/{{identity.entity.metadata.app}}/*" {
  capabilities = ["create", "update", "patch"]
}

path "cloudsync/secrets/{{identity.entity.metadata.team}}/{{identity.entity.metadata.app}}/*" {
  capabilities = ["create", "update", "patch"]

  allowed_parameters = {
    "data"   = []
    "value"  = []
    "binary" = []
    "cas"    = []
    "wait"   = []
  }
}

# vault read cloudsync/status/team-a/shop/db wait=60s
path "cloudsync/status/{{identity.entity.metadata.team}}/{{identity.entity.metadata.app}}/*" {
  capabilities = ["read"]
}

# The number of the current version, for check-and-set. Not list: the pipeline knows
# its secrets.
path "cloudsync/metadata/{{identity.entity.metadata.team}}/{{identity.entity.metadata.app}}/*" {
  capabilities = ["read"]
}
