// A program on the types that openapi-typescript made of the API's document. It is only type-checked: each line
// under `@ts-expect-error` must be an error, so types that allow anything do not pass.
import type { components, operations, paths } from "./longshore";

type Schemas = components["schemas"];
type Body<Operation extends keyof operations> = operations[Operation] extends {
  requestBody: { content: { "application/json": infer Content } };
}
  ? Content
  : never;

export const request: Body<"import_storages_s3_create"> = {
  project: 1,
  bucket: "images",
  use_blob_urls: true,
};

// @ts-expect-error A bucket is required.
export const withoutBucket: Body<"import_storages_s3_create"> = { project: 1 };

// @ts-expect-error This is a field of another kind.
export const wrongKind: Body<"import_storages_s3_create"> = { project: 1, bucket: "images", container: "images" };

export const change: Body<"import_storages_s3_update"> = { title: "Renamed" };

/** What people call a storage of any kind. */
export function place(storage: Schemas["ImportStorage"]): string {
  switch (storage.type) {
    case "s3":
    case "s3s":
    case "gcs":
      return storage.bucket;
    case "azure":
      return storage.container;
    case "redis":
      return storage.path ?? "";
    case "localfiles":
      return storage.path;
  }
}

export function progress(event: Schemas["SyncProgress"]): number {
  // @ts-expect-error Events come without options.
  void event.options;
  // @ts-expect-error There is no such counter.
  void event.counts.moved;
  return event.counts.imported + event.counts.exported;
}

type Start = paths["/api/storages/s3/{id}/sync"]["post"];
export const headers: Start["parameters"]["header"] = { "Idempotency-Key": "nightly" };

export function sync(answer: Start["responses"][200]): number | undefined {
  return answer.headers["X-Longshore-Sync"];
}

export function wait(refusal: Start["responses"][429]): number | undefined {
  const error: Schemas["ErrorBody"] = refusal.content["application/json"];
  return error.status_code === 429 ? refusal.headers["Retry-After"] : undefined;
}
