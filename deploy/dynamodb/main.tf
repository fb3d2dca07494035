# The DynamoDB table in which several controllers keep their state: docs/guides/replicas.md, "DynamoDB".
#
#   module "controller_table" {
#     source = "./deploy/dynamodb"
#     name   = "cutover"
#   }
#   module "controller_policy" {
#     source    = "./deploy/iam"
#     name      = "cutover-controller"
#     role      = "controller"
#     table_arn = module.controller_table.arn
#   }
#
# Then: cutover serve --store "${module.controller_table.store}"

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "name" {
  type        = string
  description = "Name of the table. It has to be the controllers' own."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "ARN of a key of your own that encrypts the table. Without it, DynamoDB's key does."
}

data "aws_region" "here" {}
data "aws_caller_identity" "here" {}

# No TTL, which would delete state, and no replicas, which the controller refuses.
resource "aws_dynamodb_table" "store" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }

  lifecycle {
    prevent_destroy = true
  }
}

output "arn" {
  value       = aws_dynamodb_table.store.arn
  description = "For the policy of the controllers' role."
}

output "store" {
  value       = "dynamodb://${var.name}?region=${data.aws_region.here.name}&account=${data.aws_caller_identity.here.account_id}"
  description = "The URL for cutover serve --store. The table is in the provider's Region."
}
