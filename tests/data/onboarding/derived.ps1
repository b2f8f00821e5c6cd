# 1. In the carrier's Microsoft tenant, once for all customers: sbc1.example.net is the trunk, the customers'
#    names below it inherit all of it. That domain has to be verified there, and one licensed user or resource
#    account must have an address in it (up to 24 hours). It has no other users.
Connect-MicrosoftTeams
New-CsOnlinePSTNGateway -Fqdn sbc1.example.net -SipSignalingPort 5061 -MaxConcurrentSessions 2000 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -SendSipOptions $true -MediaBypass $false -Enabled $true

# 2. In the customer's Microsoft tenant.
#    The domain contoso.sbc1.example.net has to be verified there, and one licensed user or resource account
#    must have an address in it (up to 24 hours). No New-CsOnlinePSTNGateway for it here.
Connect-MicrosoftTeams

Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='portcullis-contoso'}
New-CsOnlineVoiceRoute -Identity 'portcullis-contoso' -NumberPattern '.*' -Priority 1 `
  -OnlinePstnGatewayList contoso.sbc1.example.net -OnlinePstnUsages 'portcullis-contoso'
New-CsOnlineVoiceRoutingPolicy -Identity 'portcullis-contoso' -OnlinePstnUsages 'portcullis-contoso'

# Emergency calls by this route whatever a user's own policy says: keep the numbers of the users' country, take
# away the marks, and grant the policy to users or network sites.
# $emergency = @(
#   New-CsTeamsEmergencyNumber -EmergencyDialString '112' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '911' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '933' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '999' -OnlinePSTNUsage 'portcullis-contoso'
# )
# New-CsTeamsEmergencyCallRoutingPolicy -Identity 'portcullis-contoso' -EmergencyNumbers $emergency -AllowEnhancedEmergencyServices $true
# Grant-CsTeamsEmergencyCallRoutingPolicy -Identity '<user>' -PolicyName 'portcullis-contoso'

# Who has which number: fill in the users' names; those left empty are left out.
$users = [ordered]@{
  '+14255550100' = ''
  '+14255550101' = ''
  '+14255550102' = ''
  '+14255550103' = ''
  '+14255550104' = ''
  '+14255550105' = ''
  '+14255550106' = ''
  '+14255550107' = ''
  '+14255550108' = ''
  '+14255550109' = ''
  '+14255550110' = ''
  '+14255550111' = ''
  '+14255550112' = ''
  '+14255550113' = ''
  '+14255550114' = ''
  '+14255550115' = ''
  '+14255550116' = ''
  '+14255550117' = ''
  '+14255550118' = ''
  '+14255550119' = ''
  '+14255550120' = ''
  '+14255550121' = ''
  '+14255550122' = ''
  '+14255550123' = ''
  '+14255550124' = ''
  '+14255550125' = ''
  '+14255550126' = ''
  '+14255550127' = ''
  '+14255550128' = ''
  '+14255550129' = ''
  '+14255550130' = ''
  '+14255550131' = ''
  '+14255550132' = ''
  '+14255550133' = ''
  '+14255550134' = ''
  '+14255550135' = ''
  '+14255550136' = ''
  '+14255550137' = ''
  '+14255550138' = ''
  '+14255550139' = ''
  '+14255550140' = ''
  '+14255550141' = ''
  '+14255550142' = ''
  '+14255550143' = ''
  '+14255550144' = ''
  '+14255550145' = ''
  '+14255550146' = ''
  '+14255550147' = ''
  '+14255550148' = ''
  '+14255550149' = ''
  '+14255550150' = ''
  '+14255550151' = ''
  '+14255550152' = ''
  '+14255550153' = ''
  '+14255550154' = ''
  '+14255550155' = ''
  '+14255550156' = ''
  '+14255550157' = ''
  '+14255550158' = ''
  '+14255550159' = ''
  '+14255550160' = ''
  '+14255550161' = ''
  '+14255550162' = ''
  '+14255550163' = ''
  '+14255550164' = ''
  '+14255550165' = ''
  '+14255550166' = ''
  '+14255550167' = ''
  '+14255550168' = ''
  '+14255550169' = ''
  '+14255550170' = ''
  '+14255550171' = ''
  '+14255550172' = ''
  '+14255550173' = ''
  '+14255550174' = ''
  '+14255550175' = ''
  '+14255550176' = ''
  '+14255550177' = ''
  '+14255550178' = ''
  '+14255550179' = ''
  '+14255550180' = ''
  '+14255550181' = ''
  '+14255550182' = ''
  '+14255550183' = ''
  '+14255550184' = ''
  '+14255550185' = ''
  '+14255550186' = ''
  '+14255550187' = ''
  '+14255550188' = ''
  '+14255550189' = ''
  '+14255550190' = ''
  '+14255550191' = ''
  '+14255550192' = ''
  '+14255550193' = ''
  '+14255550194' = ''
  '+14255550195' = ''
  '+14255550196' = ''
  '+14255550197' = ''
  '+14255550198' = ''
  '+14255550199' = ''
}
foreach ($number in $users.Keys) {
  $user = $users[$number]
  if (-not $user) { continue }
  # Modules before 2026 have -PhoneNumber and -PhoneNumberType instead of -TelephoneNumber and -NumberType.
  Set-CsPhoneNumberAssignment -Identity $user -TelephoneNumber $number -NumberType DirectRouting
  Grant-CsOnlineVoiceRoutingPolicy -Identity $user -PolicyName 'portcullis-contoso'
}
