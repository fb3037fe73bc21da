"""The GraphQL queries, for dagster-graphql 1.13.27. A test checks every query against its schema."""

IDENTITY = "{ identity: instance { info } }"
"""The settings of the web server's instance, as YAML. Its run launcher names the installation."""

JOBS = """
{
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError {
          __typename
          ... on RepositoryLocation { repositories { name pipelines { name } } }
          ... on PythonError { message causes { message } }
        }
      }
    }
    ... on PythonError { message }
  }
}
"""

JOB_TAGS = """
query ($job: PipelineSelector!) {
  pipelineOrError(params: $job) {
    __typename
    ... on Pipeline { tags { key value } }
    ... on Error { message }
  }
}
"""

RELOAD = """
mutation ($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry {
      locationOrLoadError {
        __typename
        ... on PythonError { message causes { message } }
      }
    }
    ... on Error { message }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
  }
}
"""

LAUNCH = """
mutation ($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid {
      errors {
        __typename
        message
        stack {
          entries {
            ... on EvaluationStackPathEntry { fieldName }
            ... on EvaluationStackListItemEntry { listIndex }
            ... on EvaluationStackMapValueEntry { mapKey }
          }
        }
        ... on FieldNotDefinedConfigError { fieldName }
        ... on FieldsNotDefinedConfigError { fieldNames }
        ... on MissingFieldConfigError { field { name } }
      }
    }
    ... on Error { message }
  }
}
"""

RUN_FIELDS = """
  __typename
  ... on Run { runId jobName status creationTime startTime endTime tags { key value } }
"""

RUN = f"""
query ($runId: ID!) {{
  runOrError(runId: $runId) {{
    {RUN_FIELDS}
    ... on Run {{ stepStats {{ stepKey status }} }}
    ... on Error {{ message }}
  }}
}}
"""

RUNS = f"""
query ($filter: RunsFilter) {{
  runsOrError(filter: $filter, limit: 100) {{
    __typename
    ... on Runs {{ results {{ {RUN_FIELDS} }} }}
    ... on Error {{ message }}
  }}
}}
"""

ACTIVE_RUNS = f"""
query ($filter: RunsFilter, $limit: Int!, $cursor: String) {{
  runsOrError(filter: $filter, limit: $limit, cursor: $cursor) {{
    __typename
    ... on Runs {{ results {{ {RUN_FIELDS} }} }}
    ... on Error {{ message }}
  }}
}}
"""

RUN_IDS = """
query ($filter: RunsFilter) {
  runIdsOrError(filter: $filter) {
    __typename
    ... on RunIds { results }
    ... on Error { message }
  }
}
"""

EVENTS = """
query ($runId: ID!, $cursor: String) {
  logsForRun(runId: $runId, afterCursor: $cursor) {
    __typename
    ... on EventConnection {
      cursor
      hasMore
      events { __typename ... on MessageEvent { timestamp message level stepKey eventType } }
    }
    ... on Error { message }
  }
}
"""

TERMINATE = """
mutation ($runId: String!) {
  terminateRun(runId: $runId) {
    __typename
    ... on TerminateRunFailure { message }
    ... on Error { message }
  }
}
"""

DELETE_RUN = """
mutation ($runId: String!) {
  deletePipelineRun(runId: $runId) {
    __typename
    ... on Error { message }
  }
}
"""

SKIP_WELCOME = "mutation { setNuxSeen }"

DAEMONS = """
{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
}
"""


def with_identity(query: str) -> str:
    """The query, asking for IDENTITY as well, so that both answers come from the same server."""
    return f"{query.rstrip().removesuffix('}')}{IDENTITY.removeprefix('{')}"
