"""Use S3: a small object, a multipart upload in threads, a listing, a missing key."""
import io
import json
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

BIG = bytes(range(256)) * 48_000
seen: dict[str, object] = {}
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="key",
                      aws_secret_access_key="secret", config=Config(connect_timeout=10, read_timeout=20))
client.create_bucket(Bucket="bucket")
client.put_object(Bucket="bucket", Key="small", Body=b"hello")
client.upload_fileobj(io.BytesIO(BIG), "bucket", "big", Config=TransferConfig(multipart_threshold=1 << 20))
back = io.BytesIO()
client.download_fileobj("bucket", "big", back)
seen["big"] = back.getvalue() == BIG
seen["keys"] = [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket")["Contents"]]
try:
    client.get_object(Bucket="bucket", Key="none")
except ClientError as error:
    seen["missing"] = error.response["Error"]["Code"]
print(json.dumps(seen))
