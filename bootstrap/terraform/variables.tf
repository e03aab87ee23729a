# What is read from Vault is compared with what is given here, so give lists in the
# order in which they should stay, durations as the API reads them (seconds, or
# "720h0m0s" for delete_version_after), values of tags as strings, and texts from
# files without white space around them: trimspace(file("..")).

variable "path" {
  description = "Where the engine is mounted."
  type        = string
  default     = "cloudsync"
}

variable "plugin" {
  description = "Name of the plugin in Vault's catalog, where it has to be registered."
  type        = string
  default     = "vault-plugin-secrets-cloudsync"
}

variable "config" {
  description = "Settings of the mount, such as { default_wait = 10, max_versions = 20 }. Durations in seconds."
  type        = any
  default     = { default_wait = 5 }
}

variable "destinations" {
  description = "Settings of each destination by type/name, as in the API, without credentials."
  type        = any
  default     = {}
}

variable "credentials" {
  description = "Credentials by destination, such as { access_key_id = \"..\", access_key_secret = \"..\" }. Terraform keeps them in its state: protect it, or leave them out here and write the destination with them before the first apply."
  type        = map(map(string))
  default     = {}
  sensitive   = true
}

variable "rules" {
  description = "Rules by name, as in the API."
  type        = any
  default     = {}
}

variable "policies" {
  description = "Which of the policies beside this module to install."
  type        = set(string)
  default     = ["platform-operator", "destination-admin", "team-writer", "team-reader", "auditor", "ci-pipeline", "managed-reader", "managed-rotator", "managed-creator"]
}
