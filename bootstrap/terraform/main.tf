resource "vault_mount" "cloudsync" {
  path        = var.path
  type        = var.plugin
  description = "Secrets with replicas in the clouds"

  lifecycle {
    ignore_changes = [options] # vault_generic_endpoint.kv sets them
  }
}

# What "vault kv enable-versioning" does. Vault refuses it while it mounts a plugin.
resource "vault_generic_endpoint" "kv" {
  path           = "sys/mounts/${vault_mount.cloudsync.path}/tune"
  data_json      = jsonencode({ options = { version = "2" } })
  disable_delete = true
  disable_read   = true
}

resource "vault_generic_endpoint" "config" {
  path                 = "${vault_mount.cloudsync.path}/config"
  data_json            = jsonencode(var.config)
  disable_delete       = true
  ignore_absent_fields = true
}

# Credentials are written and never read, so a change of them outside of Terraform
# goes unnoticed, and one here is applied.
resource "vault_generic_endpoint" "destination" {
  for_each = var.destinations

  path                 = "${vault_mount.cloudsync.path}/destinations/${each.key}"
  data_json            = jsonencode(merge(each.value, lookup(var.credentials, each.key, {})))
  ignore_absent_fields = true
}

# A rule needs its destinations, and goes before them.
resource "vault_generic_endpoint" "rule" {
  for_each   = var.rules
  depends_on = [vault_generic_endpoint.destination]

  path                 = "${vault_mount.cloudsync.path}/rules/${each.key}"
  data_json            = jsonencode(each.value)
  ignore_absent_fields = true
}

resource "vault_policy" "policy" {
  for_each = var.policies

  name   = "${var.path}-${each.key}"
  policy = replace(file("${path.module}/../policies/${each.key}.hcl"), "path \"cloudsync/", "path \"${var.path}/")
}
