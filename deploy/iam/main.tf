# An IAM policy for one role on one DynamoDB table. docs/guides/aws.md says who needs which role on which table.
#
#   module "worker_source" {
#     source    = "./deploy/iam"
#     name      = "cutover-worker-orders"
#     role      = "pass-reader"
#     table_arn = aws_dynamodb_table.orders.arn
#   }
#   resource "aws_iam_role_policy_attachment" "worker_source" {
#     role       = aws_iam_role.worker.name
#     policy_arn = module.worker_source.policy_arn
#   }

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
  description = "Name of the policy."
}

variable "role" {
  type        = string
  description = "What the holder does to the table: the name of a JSON file in this directory, without .json."

  validation {
    condition     = contains(["service-reader", "service", "dry-run", "pass-reader", "pass-writer", "table-creator", "controller"], var.role)
    error_message = "role must be service-reader, service, dry-run, pass-reader, pass-writer, table-creator or controller."
  }
}

variable "table_arn" {
  type        = string
  description = "ARN of the table."

  validation {
    condition     = can(regex("^arn:[a-z-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}$", var.table_arn))
    error_message = "table_arn must be the ARN of one DynamoDB table, without wildcards."
  }
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "ARN of the key that encrypts the table, if it is a key of your own."
}

resource "aws_iam_policy" "table" {
  name        = var.name
  description = "Cutover: ${var.role} on ${var.table_arn}"
  policy      = templatefile("${path.module}/${var.role}.json", { table_arn = var.table_arn })
}

data "aws_iam_policy_document" "key" {
  count = var.kms_key_arn == null ? 0 : 1

  statement {
    sid       = "CutoverTableKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]

    # Only through DynamoDB: the holder can't use the key by itself.
    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["dynamodb.*.amazonaws.com"]
    }
  }
}

resource "aws_iam_policy" "key" {
  count       = var.kms_key_arn == null ? 0 : 1
  name        = "${var.name}-key"
  description = "Cutover: the key of ${var.table_arn}"
  policy      = data.aws_iam_policy_document.key[0].json
}

output "policy_arn" {
  value       = aws_iam_policy.table.arn
  description = "The policy for the table."
}

output "key_policy_arn" {
  value       = one(aws_iam_policy.key[*].arn)
  description = "The policy for the table's key; null without kms_key_arn."
}
