# Managed reader: reads the value of the team's managed credentials, as an
# application does, and where they stand. Changes nothing. The team is the entity's
# metadata "team", and the credentials are named team/name, in two segments.

path "cloudsync/managed/{{identity.entity.metadata.team}}/+/credentials" {
  capabilities = ["read"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/+" {
  capabilities = ["read"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/" {
  capabilities = ["list"]
}

# A credential that is named like the team isn't the team's.
path "cloudsync/managed/{{identity.entity.metadata.team}}/credentials" {
  capabilities = ["deny"]
}
