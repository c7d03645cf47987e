//! The S3 operations, on top of [`Buckets`](super::Buckets).
//!
//! `s3s` decodes the path once and does not normalize it (`//`, `.`, `..`, a leading or trailing `/`), so keys need no
//! workaround. One difference remains: without `encoding-type=url` a listing has raw control characters, where AWS writes
//! character references; XML 1.0 readers turn a raw carriage return into a newline. Clients that need such keys use
//! `encoding-type=url`, as on AWS.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use s3s::dto::{
    Bucket, CommonPrefix, CreateBucketInput, CreateBucketOutput, DeleteObjectInput, DeleteObjectOutput, ETag,
    EncodingType, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object as ListedObject, ObjectStorageClass, PutObjectInput, PutObjectOutput, StreamingBlob,
    Timestamp,
};
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::State;
use super::buckets::Query;
use super::encoding;
use super::object::Object;

/// AWS's page size: the default and the maximum.
const MAX_KEYS: i32 = 1000;

pub(super) struct Service {
    state: Arc<State>,
}

impl Service {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    fn bucket_exists(&self, bucket: &str) -> S3Result<()> {
        if self.state.buckets.exists(bucket) { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.bucket_exists(bucket)?;
        self.state.buckets.get(bucket, key).ok_or_else(|| s3_error!(NoSuchKey))
    }
}

/// Whether names are percent-encoded.
fn is_url(encoding: Option<&EncodingType>) -> S3Result<bool> {
    match encoding {
        None => Ok(false),
        Some(encoding) if encoding.as_str() == EncodingType::URL => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
    }
}

/// The page size of a listing, as it is answered and as it is used.
fn limit(max_keys: Option<i32>) -> S3Result<(i32, usize)> {
    let max_keys = max_keys.unwrap_or(MAX_KEYS).min(MAX_KEYS);
    match usize::try_from(max_keys) {
        Ok(limit) => Ok((max_keys, limit)),
        Err(_) => Err(s3_error!(InvalidArgument, "max-keys must not be negative")),
    }
}

/// An object in a listing.
fn listed(key: String, object: &Object) -> ListedObject {
    ListedObject {
        key: Some(key),
        size: size(&object.bytes),
        last_modified: Some(modified(object)),
        e_tag: Some(ETag::Strong(object.etag())),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..ListedObject::default()
    }
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        if !self.state.buckets.try_create(&bucket).map_err(S3Error::internal_error)? {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{bucket}")) }))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket_exists(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let names = self.state.buckets.names().into_iter();
        let buckets = names.map(|name| Bucket { name: Some(name), ..Bucket::default() }).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let is_url = is_url(input.encoding_type.as_ref())?;
        let (max_keys, limit) = limit(input.max_keys)?;
        let after = match &input.continuation_token {
            None => input.start_after.clone(),
            Some(token) => match encoding::name_of(token) {
                None => return Err(s3_error!(InvalidArgument, "The continuation token provided is incorrect")),
                name => name,
            },
        };
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
            after: after.as_deref(),
            limit,
        };
        let page = self.state.buckets.list(&input.bucket, query).ok_or_else(|| s3_error!(NoSuchBucket))?;

        let encode = |name: String| if is_url { encoding::url(&name) } else { name };
        let key_count = i32::try_from(page.objects.len() + page.common_prefixes.len()).ok();
        let contents = page.objects.into_iter().map(|(key, object)| listed(encode(key), &object));
        let prefixes = page.common_prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) });
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents.collect()),
            common_prefixes: Some(prefixes.collect()),
            is_truncated: Some(page.next_after.is_some()),
            next_continuation_token: page.next_after.as_deref().map(encoding::token_after),
            continuation_token: input.continuation_token,
            key_count,
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(encode),
            start_after: input.start_after.map(encode),
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    /// The first version of listings, with which boto3's `Bucket.objects` lists, and so Label Studio.
    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let is_url = is_url(input.encoding_type.as_ref())?;
        let (max_keys, limit) = limit(input.max_keys)?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
            after: input.marker.as_deref().filter(|marker| !marker.is_empty()),
            limit,
        };
        let page = self.state.buckets.list(&input.bucket, query).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let encode = |name: String| if is_url { encoding::url(&name) } else { name };
        let contents = page.objects.into_iter().map(|(key, object)| listed(encode(key), &object)).collect();
        let prefixes = page.common_prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) });
        Ok(S3Response::new(ListObjectsOutput {
            contents: Some(contents),
            common_prefixes: Some(prefixes.collect()),
            is_truncated: Some(page.next_after.is_some()),
            // As on AWS: without a delimiter, the client takes the last key.
            next_marker: page.next_after.filter(|_| input.delimiter.is_some()).map(encode),
            marker: Some(encode(input.marker.unwrap_or_default())),
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(encode),
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let object = self.object(&request.input.bucket, &request.input.key)?;
        let content_type = request.input.response_content_type.or(object.content_type.clone());
        let (bytes, content_range) = match request.input.range {
            None => (object.bytes.clone(), None),
            Some(range) => {
                let total = object.bytes.len() as u64;
                let range = range.check(total).map_err(|_| s3_error!(InvalidRange))?;
                let header = format!("bytes {}-{}/{total}", range.start, range.end - 1);
                (object.bytes.slice(range.start as usize..range.end as usize), Some(header))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: size(&bytes),
            content_range,
            body: Some(StreamingBlob::from(Body::from(bytes))),
            last_modified: Some(modified(&object)),
            e_tag: Some(ETag::Strong(object.etag())),
            content_type: content_type.or_else(default_content_type),
            content_encoding: object.content_encoding,
            server_side_encryption: object.encryption.map(Into::into),
            ssekms_key_id: object.kms_key_id,
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.object(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: size(&object.bytes),
            last_modified: Some(modified(&object)),
            e_tag: Some(ETag::Strong(object.etag())),
            content_type: object.content_type.or_else(default_content_type),
            content_encoding: object.content_encoding,
            server_side_encryption: object.encryption.map(Into::into),
            ssekms_key_id: object.kms_key_id,
            ..HeadObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        self.bucket_exists(&input.bucket)?;
        let mut body = BytesMut::new();
        if let Some(mut chunks) = input.body {
            while let Some(chunk) = chunks.next().await {
                // The body is already in memory, so an error means that its digest does not match the signature.
                body.extend_from_slice(&chunk.map_err(|_| s3_error!(BadDigest))?);
            }
        }
        let mut object = Object::new(body.freeze());
        object.content_type = input.content_type;
        object.content_encoding = input.content_encoding;
        object.encryption = input.server_side_encryption.as_ref().map(|encryption| encryption.as_str().to_owned());
        object.kms_key_id.clone_from(&input.ssekms_key_id);
        let etag = object.etag();
        self.state.buckets.try_put(&input.bucket, [(input.key.clone(), object)]).map_err(S3Error::internal_error)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            server_side_encryption: input.server_side_encryption,
            ssekms_key_id: input.ssekms_key_id,
            ..PutObjectOutput::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.bucket_exists(&request.input.bucket)?;
        self.state.buckets.try_remove(&request.input.bucket, &request.input.key).map_err(S3Error::internal_error)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}

fn size(bytes: &Bytes) -> Option<i64> {
    i64::try_from(bytes.len()).ok()
}

fn modified(object: &Object) -> Timestamp {
    (UNIX_EPOCH + Duration::from_secs(object.modified)).into()
}

/// The content type that AWS gives to an object stored without one.
fn default_content_type() -> Option<String> {
    Some("binary/octet-stream".to_owned())
}
