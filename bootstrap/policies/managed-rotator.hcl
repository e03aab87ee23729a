# Managed rotator: has the team's managed credentials rotated, at once, and sees how
# that goes. Sees no value. The team is the entity's metadata "team", and the
# credentials are named team/name, in two segments.

path "cloudsync/managed/{{identity.entity.metadata.team}}/+/rotate" {
  capabilities = ["update"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/+/rotation" {
  capabilities = ["read"]
}

path "cloudsync/managed/{{identity.entity.metadata.team}}/+/history" {
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
