# Team reader: reads values and versions of the team's own secrets in Vault, and
# where they are. Changes nothing. The team is the entity's metadata "team".

path "cloudsync/data/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read"]
}

path "cloudsync/subkeys/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read"]
}

path "cloudsync/metadata/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read", "list"]
}

path "cloudsync/secrets/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read", "list"]
}

path "cloudsync/trail/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read"]
}

path "cloudsync/status/{{identity.entity.metadata.team}}/*" {
  capabilities = ["read"]
}
